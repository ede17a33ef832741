import { describe, expect, test } from "vitest";
import {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
} from "../../../src/gen/envoy/service/discovery/v3/discovery.ts";
import { parseTrustDomain } from "../../../src/spiffe/id.ts";
import type { WorkloadUpdate } from "../../../src/workload-api/ports.ts";
import { Delta } from "../../../src/workload-api/sds/delta.ts";
import { SECRET_TYPE } from "../../../src/workload-api/sds/requests.ts";
import { bundleOf, identityOf, updateOf } from "../harness.ts";
import { conversationDeps, read } from "./support.ts";

type Fields = Parameters<typeof DeltaDiscoveryRequest.fromPartial>[0];
const ID = "spiffe://example.org";

function begin(options: Parameters<typeof conversationDeps>[0] = {}) {
  const stream = new Delta(conversationDeps(options));
  const versions = new Map<string, string>();
  return {
    stream,
    /** What the client has. */
    versions,
    say: (fields: Fields) =>
      stream.take(
        DeltaDiscoveryRequest.encode(DeltaDiscoveryRequest.fromPartial({ typeUrl: SECRET_TYPE, ...fields })).finish(),
      ),
    subscribe: (...names: string[]) =>
      stream.take(
        DeltaDiscoveryRequest.encode(DeltaDiscoveryRequest.fromPartial({ resourceNamesSubscribe: names })).finish(),
      ),
    /** Secrets, then `-name` for those to remove; undefined for no answer. */
    hear: (update: WorkloadUpdate): string[] | undefined => {
      const bytes = stream.answer(update);
      if (bytes === undefined) return undefined;
      const { nonce, resources, removedResources } = DeltaDiscoveryResponse.decode(bytes);
      expect(nonce).toMatch(/^[0-9]{8}$/);
      for (const { name, version, resource } of resources) {
        versions.set(name, version);
        expect(read(resource).startsWith(`${name}: `)).toBe(true);
      }
      return [...resources.map(({ resource }) => read(resource)), ...removedResources.map((name) => `-${name}`)];
    },
  };
}

const one = updateOf([identityOf("one")]);
const rotated = updateOf([identityOf("one", { chain: ["new leaf"] })], { bundle: one.bundle });
const SVID = "default: leaf of one|intermediate, key";
const BUNDLE = "ROOTCA: spiffe example.org=root 1|root 2";

describe("subscriptions", () => {
  test("bring each name once, then what changed of it", () => {
    const { subscribe, hear } = begin();
    expect(hear(one)).toBeUndefined();
    subscribe("default", "ROOTCA");
    expect(hear(one)).toEqual([SVID, BUNDLE]);
    expect(hear(one)).toBeUndefined();
    expect(hear(rotated)).toEqual(["default: new leaf, key"]);
  });

  test("each name stands for itself: two names of one bundle or SVID bring both", () => {
    const { subscribe, hear } = begin();
    subscribe("default", `${ID}/one`, "ROOTCA", ID, "ALL");
    expect(hear(one)).toEqual([
      SVID,
      `${ID}/one: leaf of one|intermediate, key`,
      BUNDLE,
      `${ID}: spiffe example.org=root 1|root 2`,
      "ALL: spiffe example.org=root 1|root 2",
    ]);
  });

  test("a later request adds to what is there, and takes from it", () => {
    const { subscribe, say, hear } = begin();
    subscribe("default");
    hear(one);
    subscribe("ROOTCA");
    expect(hear(one)).toEqual([BUNDLE]);
    say({ resourceNamesUnsubscribe: ["default", "never had"] });
    expect(hear(one)).toBeUndefined();
    expect(hear(rotated)).toBeUndefined();
  });

  test("subscribing again brings it again: the client may have forgotten it", () => {
    const { subscribe, hear } = begin();
    subscribe("default");
    hear(one);
    subscribe("default");
    expect(hear(one)).toEqual([SVID]);
  });

  test("a name that the caller may not have is removed, once; it comes when the caller may, and goes with it", () => {
    const { subscribe, hear } = begin();
    subscribe(`${ID}/two`, "default");
    expect(hear(one)).toEqual([SVID, `-${ID}/two`]);
    expect(hear(rotated)).toEqual(["default: new leaf, key"]);
    expect(hear(updateOf([identityOf("one", { chain: ["new leaf"] }), identityOf("two")]))).toEqual([
      `${ID}/two: leaf of two|intermediate, key`,
    ]);
    expect(hear(rotated)).toEqual([`-${ID}/two`]);
    expect(hear(updateOf([]))).toEqual(["-default"]);
    expect(hear(updateOf([]))).toBeUndefined();
    expect(hear(one)).toEqual([SVID]);
  });

  test("ACKs, NACKs and requests that name an older answer change nothing; NACKs are told", () => {
    const { subscribe, say, hear } = begin();
    subscribe("default");
    hear(one);
    expect(say({ responseNonce: "00000001" })).toBeUndefined();
    for (let i = 0; i < 1000; i++) {
      expect(say({ responseNonce: "x", errorDetail: { code: 3, message: "bad" } })).toMatchObject({
        names: ["default"],
        detail: { message: "bad" },
      });
      expect(hear(one)).toBeUndefined();
    }
    say({ responseNonce: "00000000", resourceNamesSubscribe: ["ROOTCA"] });
    expect(hear(one)).toEqual([BUNDLE]);
  });

  test("while SVIDs are on their way the first answer waits, and later nothing is refused", () => {
    const { subscribe, hear, stream } = begin();
    subscribe("default");
    expect(hear({ ...one, pending: true })).toBeUndefined();
    expect(stream.unanswered).toBe(true);
    expect(hear(one)).toEqual([SVID]);
    expect(stream.unanswered).toBe(false);
    subscribe(`${ID}/two`, "ROOTCA");
    expect(hear({ ...one, pending: true })).toEqual([BUNDLE]);
    expect(hear(one)).toEqual([`-${ID}/two`]);
  });

  test("names and their number are bounded over the whole stream", () => {
    const { subscribe } = begin();
    for (let i = 0; i < 1000; i++) subscribe(`n${i}`);
    expect(() => subscribe("one more")).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT", publicMessage: "more than 1000 resource names" }),
    );
    const long = begin();
    for (let i = 0; i < 32; i++) long.subscribe(`${i}`.padEnd(2000, "x"));
    expect(() => long.subscribe("y".repeat(2048))).toThrow(/longer than 65536 characters together/);
    expect(() => begin().say({ typeUrl: "x" })).toThrow(/unsupported resource type "x"/);
  });

  test("all bundles without the SPIFFE validator are INTERNAL; other bundles are authorities", () => {
    const { say, hear } = begin();
    const node = { metadata: { disable_spiffe_cert_validation: "true" } };
    say({ node, resourceNamesSubscribe: ["ROOTCA"] });
    expect(hear(one)).toEqual(["ROOTCA: trusted_ca root 1|root 2"]);
    say({ resourceNamesSubscribe: ["ALL"] });
    expect(() => hear(one)).toThrow(expect.objectContaining({ code: "INTERNAL" }));
  });
});

describe("the wildcard", () => {
  const everything = [`${ID}: spiffe example.org=root 1|root 2`, `${ID}/one: leaf of one|intermediate, key`];

  test.each([[[]], [["*"]]])("%j brings everything, and tells what comes and goes", (names) => {
    const { subscribe, hear } = begin();
    subscribe(...names);
    expect(hear(one)).toEqual(everything);
    const federatedBundles = new Map([[parseTrustDomain("b.test"), bundleOf("b.test", "b")]]);
    expect(hear(updateOf([identityOf("one")], { federatedBundles, bundle: one.bundle }))).toEqual([
      "spiffe://b.test: spiffe b.test=b",
    ]);
    expect(hear(updateOf([], { bundle: one.bundle }))).toEqual(["-spiffe://b.test", `-${ID}/one`]);
    expect(hear(updateOf([], { bundle: one.bundle }))).toBeUndefined();
  });

  test("ends when it is unsubscribed; names beside it stay", () => {
    const { subscribe, say, hear } = begin();
    subscribe("*", "default");
    expect(hear(one)).toEqual([SVID, ...everything]);
    say({ resourceNamesUnsubscribe: ["*"] });
    expect(hear(rotated)).toEqual(["default: new leaf, key"]);
  });

  test("a name that is unsubscribed below it comes again or is removed", () => {
    const { subscribe, say, hear } = begin();
    subscribe("*", "default", `${ID}/one`);
    hear(one);
    say({ resourceNamesUnsubscribe: ["default", `${ID}/one`] });
    expect(hear(one)).toEqual([`${ID}/one: leaf of one|intermediate, key`, "-default"]);
  });

  test("names that are left below it count until the client was told, however slowly it reads", () => {
    const { say, hear } = begin();
    const names = (from: number): string[] => Array.from({ length: 600 }, (_, index) => `n${from + index}`);
    say({});
    hear(one);
    say({ resourceNamesSubscribe: names(0) });
    expect(() => say({ resourceNamesUnsubscribe: names(0), resourceNamesSubscribe: names(600) })).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT", publicMessage: "more than 1000 resource names" }),
    );
    const reading = begin();
    reading.say({});
    for (let from = 0; from < 6000; from += 600) {
      reading.say({ resourceNamesUnsubscribe: names(from - 600), resourceNamesSubscribe: names(from) });
      reading.hear(one);
      reading.say({ resourceNamesUnsubscribe: names(from) });
      expect(reading.hear(one)).toHaveLength(600);
    }
  });

  test("a later request without names subscribes to nothing", () => {
    const { subscribe, say, hear } = begin();
    subscribe("default");
    hear(one);
    say({ responseNonce: "00000001" });
    expect(hear(one)).toBeUndefined();
  });
});

describe("after a reconnection", () => {
  test("what the client has is not sent again, what changed is, and what it may not have is removed", () => {
    const first = begin();
    first.subscribe("default", "ROOTCA", ID);
    first.hear(one);
    const initialResourceVersions = Object.fromEntries([...first.versions, [`${ID}/gone`, "1"], ["ALL", "x"]]);
    const second = begin();
    second.say({ resourceNamesSubscribe: ["default", "ROOTCA", `${ID}/gone`], initialResourceVersions });
    expect(second.hear(rotated)).toEqual(["default: new leaf, key", `-${ID}/gone`]);
    const third = begin();
    third.say({ initialResourceVersions });
    expect(third.hear(one)).toEqual([
      `${ID}/one: leaf of one|intermediate, key`,
      ...["ALL", "ROOTCA", "default", `${ID}/gone`].map((name) => `-${name}`),
    ]);
  });

  test("the versions of a stream before count in the first request only, and cannot claim absence", () => {
    const stream = begin();
    stream.subscribe("ROOTCA");
    stream.hear(one);
    const known = begin();
    known.subscribe("default");
    known.hear(one);
    stream.say({ resourceNamesSubscribe: ["default"], initialResourceVersions: Object.fromEntries(known.versions) });
    expect(stream.hear(one)).toEqual([SVID]);
    const liar = begin();
    liar.say({ resourceNamesSubscribe: ["no such"], initialResourceVersions: { "no such": "absent" } });
    expect(liar.hear(one)).toEqual(["-no such"]);
  });

  test("an equal secret has an equal version, another validator another", () => {
    const versions = (options: Parameters<typeof conversationDeps>[0], update: WorkloadUpdate) => {
      const stream = begin(options);
      stream.subscribe("default", "ROOTCA");
      stream.hear(update);
      return [...stream.versions.values()];
    };
    const same = updateOf([identityOf("one")]);
    expect(versions({}, same)).toEqual(versions({}, one));
    const [svid, bundle] = versions({}, one);
    const [plainSvid, plainBundle] = versions({ disableSpiffeCertValidation: true }, one);
    expect([svid === plainSvid, bundle === plainBundle]).toEqual([true, false]);
  });
});
