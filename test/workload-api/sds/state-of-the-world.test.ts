import { describe, expect, test } from "vitest";
import { DiscoveryRequest, DiscoveryResponse } from "../../../src/gen/envoy/service/discovery/v3/discovery.ts";
import { parseTrustDomain } from "../../../src/spiffe/id.ts";
import type { WorkloadUpdate } from "../../../src/workload-api/ports.ts";
import { SECRET_TYPE } from "../../../src/workload-api/sds/requests.ts";
import { answerOnce, StateOfTheWorld } from "../../../src/workload-api/sds/state-of-the-world.ts";
import { bundleOf, identityOf, updateOf } from "../harness.ts";
import { conversationDeps, read } from "./support.ts";

type Fields = Parameters<typeof DiscoveryRequest.fromPartial>[0];
const ID = "spiffe://example.org";
const NO_VALIDATOR = { metadata: { disable_spiffe_cert_validation: true } };

/** A conversation in which the client says what the test says. */
function begin(options: Parameters<typeof conversationDeps>[0] = {}) {
  const stream = new StateOfTheWorld(conversationDeps(options));
  return {
    stream,
    say: (fields: Fields) =>
      stream.take(DiscoveryRequest.encode(DiscoveryRequest.fromPartial({ typeUrl: SECRET_TYPE, ...fields })).finish()),
    /** `version nonce: secrets`, or undefined. */
    hear: (update: WorkloadUpdate): string | undefined => {
      const bytes = stream.answer(update);
      if (bytes === undefined) return undefined;
      const { versionInfo, nonce, typeUrl, resources } = DiscoveryResponse.decode(bytes);
      expect(typeUrl).toBe(SECRET_TYPE);
      return `${versionInfo} ${nonce}: ${resources.map(read).join("; ")}`;
    },
  };
}

const one = updateOf([identityOf("one")]);
const rotated = updateOf([identityOf("one", { chain: ["new leaf"] })], { bundle: one.bundle });

describe("what is served", () => {
  const federatedBundles = new Map([[parseTrustDomain("b.test"), bundleOf("b.test", "b1", "b2")]]);
  const update = updateOf([identityOf("one")], { federatedBundles });
  const rows: readonly [what: string, fields: Fields, secrets: string][] = [
    [
      "an SVID, leaf first, its key in PKCS#8",
      { resourceNames: [`${ID}/one`] },
      `${ID}/one: leaf of one|intermediate, key`,
    ],
    ["the first SVID renamed", { resourceNames: ["default"] }, "default: leaf of one|intermediate, key"],
    [
      "the own bundle for the SPIFFE validator",
      { resourceNames: ["ROOTCA"] },
      "ROOTCA: spiffe example.org=root 1|root 2",
    ],
    ["another's bundle", { resourceNames: ["spiffe://b.test"] }, "spiffe://b.test: spiffe b.test=b1|b2"],
    ["all bundles", { resourceNames: ["ALL"] }, "ALL: spiffe b.test=b1|b2 example.org=root 1|root 2"],
    ["authorities", { resourceNames: ["ROOTCA"], node: NO_VALIDATOR }, "ROOTCA: trusted_ca root 1|root 2"],
    [
      "authorities of another",
      { resourceNames: ["spiffe://b.test"], node: NO_VALIDATOR },
      "spiffe://b.test: trusted_ca b1|b2",
    ],
    [
      "everything for no names",
      { resourceNames: ["", ""] },
      `${ID}: spiffe example.org=root 1|root 2; spiffe://b.test: spiffe b.test=b1|b2; ${ID}/one: leaf of one|intermediate, key`,
    ],
  ];
  test.each(rows)("%s", (_what, fields, secrets) => {
    const { say, hear } = begin();
    say(fields);
    expect(hear(update)).toBe(`1 00000001: ${secrets}`);
  });

  test("FetchSecrets answers the same without version and nonce", () => {
    for (const [, fields, secrets] of rows) {
      const request = DiscoveryRequest.fromPartial({ typeUrl: SECRET_TYPE, ...fields });
      const response = DiscoveryResponse.decode(answerOnce(request, update, conversationDeps()) ?? Buffer.alloc(0));
      expect(response).toMatchObject({ versionInfo: "", nonce: "", typeUrl: SECRET_TYPE });
      expect(response.resources.map(read).join("; ")).toBe(secrets);
    }
  });

  test("configured names count in place of the usual ones", () => {
    const { say, hear } = begin({ defaultSvidName: "me", defaultBundleName: "us", defaultAllBundlesName: "everybody" });
    say({ resourceNames: ["me", "us"] });
    expect(hear(one)).toBe("1 00000001: us: spiffe example.org=root 1|root 2; me: leaf of one|intermediate, key");
    const other = begin({ defaultBundleName: "us" });
    other.say({ resourceNames: ["ROOTCA"] });
    expect(() => other.hear(one)).toThrow(/\["ROOTCA"\]$/);
  });

  test("names that are left over end the call, and are listed in order", () => {
    const { say, hear } = begin();
    say({ resourceNames: ["z", `${ID}/one`, 'a"b'] });
    expect(() => hear(one)).toThrow(
      expect.objectContaining({
        code: "INVALID_ARGUMENT",
        publicMessage: 'workload is not authorized for the requested identities ["a\\"b" "z"]',
      }),
    );
  });

  test("a list of them that would fill the log is cut short", () => {
    const { say, hear } = begin();
    say({ resourceNames: Array.from({ length: 900 }, (_, at) => `name ${at} with some more to it`) });
    expect(() => hear(one)).toThrow(/^workload is not authorized .{900,1000}…\]$/);
  });

  test("without an identity bundles are served, and SVIDs are not PERMISSION_DENIED", () => {
    const nobody = updateOf([]);
    const bundles = begin();
    bundles.say({ resourceNames: ["ROOTCA"] });
    expect(bundles.hear(nobody)).toBe("1 00000001: ROOTCA: spiffe example.org=root 1|root 2");
    const svids = begin();
    svids.say({ resourceNames: ["default"] });
    expect(() => svids.hear(nobody)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  });

  test.each([
    ["by the node", { node: NO_VALIDATOR }, false],
    ["by the configuration", {}, true],
    [
      "by an old Envoy",
      {
        node: {
          userAgentVersionType: {
            $case: "userAgentBuildVersion",
            value: { version: { majorNumber: 1, minorNumber: 17 } },
          },
        },
      },
      false,
    ],
  ] as const)("all bundles with the SPIFFE validator disabled %s are INTERNAL", (_how, fields, disabled) => {
    const { say, hear } = begin({ disableSpiffeCertValidation: disabled });
    say({ ...fields, resourceNames: ["ALL"] });
    expect(() => hear(one)).toThrow(
      expect.objectContaining({
        code: "INTERNAL",
        publicMessage: 'unable to use "SPIFFE validator" on Envoy below 1.17',
      }),
    );
  });
});

describe("a stream", () => {
  test("says nothing before it was asked, and nothing twice", () => {
    const { say, hear } = begin();
    expect(hear(one)).toBeUndefined();
    say({ resourceNames: ["default"] });
    expect(hear(one)).toBe("1 00000001: default: leaf of one|intermediate, key");
    expect(hear(one)).toBeUndefined();
    say({ resourceNames: ["default"], versionInfo: "1", responseNonce: "00000001" });
    expect(hear(one)).toBeUndefined();
  });

  test("says what a rotation changed, with the next version and a new nonce", () => {
    const { say, hear } = begin();
    say({ resourceNames: ["default"] });
    hear(one);
    expect(hear(rotated)).toBe("2 00000002: default: new leaf, key");
  });

  test("says nothing of a change that concerns others", () => {
    const { say, hear } = begin();
    say({ resourceNames: ["ROOTCA"] });
    hear(one);
    expect(hear(rotated)).toBeUndefined();
    expect(hear(updateOf([identityOf("two")], { bundle: bundleOf("example.org", "r3") }))).toBe(
      "2 00000002: ROOTCA: spiffe example.org=r3",
    );
  });

  test("answers other names at once, of the same version; the order and number of equal names mean nothing", () => {
    const { say, hear } = begin();
    say({ resourceNames: ["default"] });
    hear(one);
    say({ resourceNames: ["ROOTCA", "default"], versionInfo: "1", responseNonce: "00000001" });
    expect(hear(one)).toMatch(/^1 00000002: ROOTCA: .*; default: /);
    say({ resourceNames: ["default", "ROOTCA", "default", ""], versionInfo: "1", responseNonce: "00000002" });
    expect(hear(one)).toBeUndefined();
  });

  test("ignores a request with another nonce than the last one, also its names", () => {
    const { say, hear } = begin();
    say({ resourceNames: ["default"] });
    hear(one);
    hear(rotated);
    for (const responseNonce of ["", "00000001", "99999999"]) {
      expect(say({ resourceNames: ["no such name"], versionInfo: "1", responseNonce })).toBeUndefined();
      expect(hear(rotated)).toBeUndefined();
    }
  });

  test("NACKs are told and processed, and answered with nothing however many there are", () => {
    const { say, hear } = begin();
    say({ resourceNames: ["default"] });
    hear(one);
    const nack = { versionInfo: "", responseNonce: "00000001", errorDetail: { code: 3, message: "bad" } };
    for (let i = 0; i < 1000; i++) {
      expect(say({ ...nack, resourceNames: ["default"] })).toMatchObject({
        names: ["default"],
        detail: { message: "bad" },
      });
      expect(hear(one)).toBeUndefined();
    }
    expect(say({ resourceNames: ["default"], versionInfo: "0", responseNonce: "00000001" })).toEqual({
      names: ["default"],
      detail: undefined,
    });
    expect(say({ ...nack, resourceNames: ["ROOTCA"] })).toBeDefined();
    expect(hear(one)).toBe("1 00000002: ROOTCA: spiffe example.org=root 1|root 2");
    say({ resourceNames: ["ROOTCA"], versionInfo: "1", responseNonce: "00000002" });
    expect(say({ resourceNames: ["ROOTCA"], versionInfo: "1", responseNonce: "00000002" })).toBeUndefined();
  });

  test("a first request may name version and nonce of a stream before", () => {
    const { say, hear } = begin();
    expect(say({ resourceNames: ["default"], versionInfo: "17", responseNonce: "abcdef01" })).toBeUndefined();
    expect(hear(one)).toMatch(/^1 00000001: default/);
  });

  test("remembers the node of an earlier request", () => {
    const { say, hear } = begin();
    say({ resourceNames: ["ROOTCA"], node: NO_VALIDATOR });
    expect(hear(one)).toBe("1 00000001: ROOTCA: trusted_ca root 1|root 2");
    say({ resourceNames: [ID], versionInfo: "1", responseNonce: "00000001" });
    expect(hear(one)).toBe(`1 00000002: ${ID}: trusted_ca root 1|root 2`);
    say({ resourceNames: ["ROOTCA"], versionInfo: "1", responseNonce: "00000002", node: {} });
    expect(hear(one)).toBe("1 00000003: ROOTCA: spiffe example.org=root 1|root 2");
  });

  test("waits for SVIDs that are on their way: with the first answer, and for a name that has none yet", () => {
    const { say, hear, stream } = begin();
    say({ resourceNames: ["default"] });
    expect(hear({ ...one, pending: true })).toBeUndefined();
    expect(stream.unanswered).toBe(true);
    expect(hear(one)).toMatch(/^1 /);
    expect(stream.unanswered).toBe(false);
    say({ resourceNames: [`${ID}/two`], versionInfo: "1", responseNonce: "00000001" });
    expect(hear({ ...one, pending: true })).toBeUndefined();
    expect(hear(updateOf([identityOf("one"), identityOf("two")]))).toBe(
      `2 00000002: ${ID}/two: leaf of two|intermediate, key`,
    );
    expect(hear({ ...updateOf([identityOf("two", { chain: ["x"] })]), pending: true })).toBe(
      `3 00000003: ${ID}/two: x, key`,
    );
  });

  test("ends when a name that it has is taken away", () => {
    const { say, hear } = begin();
    say({ resourceNames: [`${ID}/one`] });
    hear(one);
    expect(() => hear(updateOf([identityOf("two")]))).toThrow(/not authorized .* \["spiffe:\/\/example.org\/one"\]/);
  });
});

describe("bounds", () => {
  test.each([
    [
      "more than 1000 names",
      { resourceNames: Array.from({ length: 1001 }, (_, i) => String(i)) },
      /1000 resource names/,
    ],
    ["a name of more than 2048 characters", { resourceNames: ["x".repeat(2049)] }, /longer than 2048/],
    [
      "names of more than 64 KiB",
      { resourceNames: Array.from({ length: 40 }, () => "x".repeat(2000)) },
      /65536 characters/,
    ],
    [
      "another type",
      { typeUrl: "type.googleapis.com/envoy.config.cluster.v3.Cluster" },
      /unsupported resource type "type/,
    ],
    ["version 2 of the type", { typeUrl: "type.googleapis.com/envoy.api.v2.auth.Secret" }, /unsupported resource type/],
  ] as const)("%s: INVALID_ARGUMENT", (_what, fields, message) => {
    const { say } = begin();
    const refusal = expect.objectContaining({
      code: "INVALID_ARGUMENT",
      publicMessage: expect.stringMatching(message),
    });
    expect(() => say(fields as Fields)).toThrow(refusal);
  });

  test("no type names the one that there is", () => {
    const stream = new StateOfTheWorld(conversationDeps());
    stream.take(DiscoveryRequest.encode(DiscoveryRequest.fromPartial({ resourceNames: ["ROOTCA"] })).finish());
    expect(DiscoveryResponse.decode(stream.answer(one) ?? Buffer.alloc(0)).resources.map(read)).toEqual([
      "ROOTCA: spiffe example.org=root 1|root 2",
    ]);
  });

  test("bytes that are no message are refused", () => {
    expect(() => new StateOfTheWorld(conversationDeps()).take(Buffer.from([0x0a, 0xff]))).toThrow(/no valid message/);
  });
});

test("equal callers share one encoding, and other sets of names are remembered up to a bound", () => {
  const { encoder } = conversationDeps();
  const set = (...names: string[]) => encoder.set(one, new Set(names), "spiffe");
  expect(set("default", "ROOTCA")).toBe(set("ROOTCA", "default"));
  expect(set("default")).not.toBe(set("ROOTCA"));
  expect(encoder.set(one, new Set(["ROOTCA"]), "trusted_ca")).not.toBe(set("ROOTCA"));
  const many = updateOf(Array.from({ length: 100 }, (_, i) => identityOf(`w${i}`)));
  const sets = many.identities.map(({ svid }) => encoder.set(many, new Set([svid.spiffeId]), "spiffe"));
  const again = many.identities.map(({ svid }) => encoder.set(many, new Set([svid.spiffeId]), "spiffe"));
  expect(again.filter((found, index) => found === sets[index])).toHaveLength(64);
});
