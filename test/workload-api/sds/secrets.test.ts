/** The table of names: what a request gets for each, and what it does not. */
import { describe, expect, test } from "vitest";
import { parseTrustDomain } from "../../../src/spiffe/id.ts";
import type { WorkloadUpdate } from "../../../src/workload-api/ports.ts";
import { indexSecrets, selectSecrets } from "../../../src/workload-api/sds/secrets.ts";
import { bundleOf, identityOf, updateOf } from "../harness.ts";
import { NAMES } from "./support.ts";

const federatedBundles = new Map(
  ["c.test", "b.test"].map((name) => [parseTrustDomain(name), bundleOf(name, `root of ${name}`)]),
);
const update = updateOf([identityOf("one"), identityOf("two")], { federatedBundles });
const ID = "spiffe://example.org";

/** Names with what each stands for, then what was refused. */
function select(names: readonly string[], from: WorkloadUpdate = update): string[] {
  const { secrets, unknown } = selectSecrets(indexSecrets(from, NAMES), new Set(names));
  const told = secrets.map((secret) => {
    if (secret.kind === "svid") return `${secret.name}=${secret.svid.spiffeId}`;
    const bundles = secret.kind === "bundle" ? [secret.bundle] : secret.bundles;
    return `${secret.name}=${bundles.map(({ trustDomain }) => trustDomain).join("+")}`;
  });
  return [...told, ...unknown.map((name) => `!${name}`)];
}

describe("a name gives", () => {
  const rows: readonly [names: readonly string[], given: readonly string[]][] = [
    [
      [],
      [
        `${ID}=example.org`,
        "spiffe://b.test=b.test",
        "spiffe://c.test=c.test",
        `${ID}/one=${ID}/one`,
        `${ID}/two=${ID}/two`,
      ],
    ],
    [[`${ID}/two`], [`${ID}/two=${ID}/two`]],
    [["default"], [`default=${ID}/one`]],
    [[ID], [`${ID}=example.org`]],
    [["spiffe://b.test"], ["spiffe://b.test=b.test"]],
    [["ROOTCA"], ["ROOTCA=example.org"]],
    [["ALL"], ["ALL=b.test+c.test+example.org"]],
    [
      [`${ID}/two`, "ROOTCA"],
      ["ROOTCA=example.org", `${ID}/two=${ID}/two`],
    ],
    [
      [`${ID}/two`, "default"],
      [`${ID}/two=${ID}/two`, `default=${ID}/one`],
    ],
    [[`${ID}/three`], [`!${ID}/three`]],
    [["rootca"], ["!rootca"]],
    [["*"], ["!*"]],
    [["spiffe://other.test"], ["!spiffe://other.test"]],
    [
      ["z", `${ID}/one`, "a"],
      [`${ID}/one=${ID}/one`, "!a", "!z"],
    ],
    // One choice for the own bundle, in this order, and one for the first SVID.
    [
      ["ALL", "ROOTCA", ID],
      [`${ID}=example.org`, "!ALL", "!ROOTCA"],
    ],
    [
      ["ALL", "ROOTCA"],
      ["ROOTCA=example.org", "!ALL"],
    ],
    [
      ["default", `${ID}/one`],
      [`${ID}/one=${ID}/one`, "!default"],
    ],
  ];
  test.each(rows)("%j", (names, given) => {
    expect(select(names)).toEqual(given);
  });
});

test("without an identity there is the own bundle and nothing else, also not of others", () => {
  const nobody = updateOf([identityOf("stored", { storeSvid: true })], { federatedBundles });
  expect(select([], nobody)).toEqual([`${ID}=example.org`]);
  expect(select(["ROOTCA"], nobody)).toEqual(["ROOTCA=example.org"]);
  expect(select(["ALL"], nobody)).toEqual(["ALL=example.org"]);
  expect(select(["default", "spiffe://b.test", `${ID}/stored`], nobody)).toEqual([
    "!default",
    "!spiffe://b.test",
    `!${ID}/stored`,
  ]);
});

test("an SVID that is for a store of secrets only is neither served nor the first", () => {
  const stored = updateOf([identityOf("a", { storeSvid: true }), identityOf("b")]);
  expect(select(["default"], stored)).toEqual([`default=${ID}/b`]);
  expect(select([`${ID}/a`], stored)).toEqual([`!${ID}/a`]);
});

test("of two SVIDs with one ID the first goes out, once", () => {
  const [first, second] = [identityOf("same"), { ...identityOf("same"), entry: identityOf("other").entry }];
  const { secrets } = selectSecrets(indexSecrets(updateOf([first, second]), NAMES), new Set());
  expect(secrets.flatMap((secret) => (secret.kind === "svid" ? [secret.svid] : []))).toEqual([first.svid]);
});

test("a bundle without X.509 authorities is left out of all bundles, for Envoy would refuse them all", () => {
  const empty = new Map([[parseTrustDomain("b.test"), bundleOf("b.test")]]);
  expect(select(["ALL"], updateOf([identityOf("a")], { federatedBundles: empty }))).toEqual(["ALL=example.org"]);
});

test("the own trust domain is not overridden by a federated bundle of its name (FED-06)", () => {
  const impostor = new Map([[parseTrustDomain("example.org"), bundleOf("example.org", "another root")]]);
  const from = updateOf([identityOf("a")], { federatedBundles: impostor });
  const { secrets } = selectSecrets(indexSecrets(from, NAMES), new Set([ID]));
  expect(secrets).toEqual([{ kind: "bundle", name: ID, bundle: from.bundle }]);
});
