import { status as Status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { type WITBundlesResponse, WITSVIDRequest, type WITSVIDResponse } from "../../src/gen/workload/workload.ts";
import type { WorkloadIdentity, WorkloadUpdate } from "../../src/workload-api/ports.ts";
import { until } from "../lib/rpc/harness.ts";
import { jwtBundle, makeKey, witBundle } from "../pki/jwt-tokens.ts";
import { ApiHarness, FakeSource, type HarnessOptions, header, identityOf, Reader, updateOf, witOf } from "./harness.ts";

const own = witBundle("example.org", makeKey("wit-1"));
const DENIED = `${Status.PERMISSION_DENIED} no identity issued`;
const UNSUPPORTED = `${Status.UNIMPLEMENTED} the server issues no WIT-SVIDs`;

const update = (identities: readonly WorkloadIdentity[], more: Partial<WorkloadUpdate> = {}): WorkloadUpdate =>
  updateOf(identities, { bundle: own, ...more });

async function start(first: WorkloadUpdate, options: HarnessOptions = {}) {
  const source = new FakeSource();
  source.everybody.set(first);
  const harness = await ApiHarness.open(source, options);
  const { wits } = source;
  return {
    source,
    wits,
    harness,
    /** There is a WIT-SVID for the entry. */
    issue: (entryId: string, token = `token of ${entryId}`): void => {
      wits.svids.set(entryId, witOf(identityOf(entryId).svid.spiffeId, token));
      wits.tell();
    },
    svids: (spiffeId = "", metadata = header()): Reader<WITSVIDResponse> =>
      new Reader(harness.client().fetchWitsvid({ spiffeId }, metadata)),
    bundles: (metadata = header()): Reader<WITBundlesResponse> =>
      new Reader(harness.client().fetchWitBundles({}, metadata)),
    [Symbol.asyncDispose]: () => harness[Symbol.asyncDispose](),
  };
}

/** The tokens of a message. */
const tokens = ({ svids }: WITSVIDResponse): string[] => svids.map(({ witSvid }) => witSvid);

describe("FetchWITSVID", () => {
  test("all identities in order, with hints; keys are private JWKs with alg (API-31, API-33)", async () => {
    await using api = await start(update([identityOf("a", { hint: "internal" }), identityOf("b")]));
    api.issue("a");
    api.issue("b");
    const { svids } = await api.svids().next();
    expect(svids.map(({ witSvidKey: _key, ...svid }) => svid)).toEqual([
      { spiffeId: "spiffe://example.org/a", witSvid: "token of a", hint: "internal" },
      { spiffeId: "spiffe://example.org/b", witSvid: "token of b", hint: "" },
    ]);
    const key = JSON.parse(svids[0]?.witSvidKey ?? "") as object;
    expect(key).toEqual({
      kty: "EC",
      crv: "P-256",
      alg: "ES256",
      ...Object.fromEntries(["x", "y", "d"].map((name) => [name, expect.stringMatching(/^[\w-]{43}$/) as string])),
    });
  });

  test("spiffe_id chooses; one that is not the caller's is PERMISSION_DENIED", async () => {
    await using api = await start(update([identityOf("a"), identityOf("b")]));
    api.issue("b");
    expect(tokens(await api.svids("spiffe://example.org/b").next())).toEqual(["token of b"]);
    expect(await api.svids("spiffe://example.org/c").end()).toBe(DENIED);
    expect([...api.wits.followers.values()]).toEqual([["b"]]);
  });

  test("a malformed spiffe_id is INVALID_ARGUMENT before the caller is attested", async () => {
    await using api = await start(update([identityOf("a")]));
    expect(await api.svids("web").end()).toBe(
      `${Status.INVALID_ARGUMENT} invalid requested SPIFFE ID: scheme is missing or invalid: want "spiffe://"`,
    );
    expect(api.source.peers).toEqual([]);
  });

  test("of equal hints only the oldest entry, also when spiffe_id asks for another (API-16)", async () => {
    await using api = await start(
      update([
        identityOf("a", { hint: "x", createdAt: 2 }),
        identityOf("b", { hint: "x", createdAt: 1 }),
        identityOf("c", { storeSvid: true }),
      ]),
    );
    api.issue("b");
    expect(tokens(await api.svids().next())).toEqual(["token of b"]);
    expect(await api.svids("spiffe://example.org/a").end()).toBe(DENIED);
  });

  test("an entry needs no X509-SVID", async () => {
    const { entry } = identityOf("a");
    await using api = await start(update([], { entries: [entry], pending: true }));
    api.issue("a");
    expect(tokens(await api.svids().next())).toEqual(["token of a"]);
  });

  test("the first message waits for what is on its way, not for what failed", async () => {
    await using api = await start(update([identityOf("a"), identityOf("b"), identityOf("c")]));
    const stream = api.svids();
    await until(() => api.wits.followers.size === 1);
    api.issue("a");
    api.issue("c");
    api.wits.failed.add("b");
    api.wits.tell();
    expect(tokens(await stream.next())).toEqual(["token of a", "token of c"]);
    api.issue("b");
    expect(tokens(await stream.next())).toEqual(["token of a", "token of b", "token of c"]);
  });

  test("while none is there the caller is kept waiting and not denied (API-31)", async () => {
    await using api = await start(update([identityOf("a")]));
    api.wits.failed.add("a");
    const stream = api.svids();
    await until(() => api.wits.followers.size === 1);
    api.wits.tell();
    api.issue("a");
    expect(tokens(await stream.next())).toEqual(["token of a"]);
    api.wits.svids.clear();
    api.wits.tell();
    api.issue("a", "another");
    expect(tokens(await stream.next())).toEqual(["another"]);
    expect(stream.waiting).toBe(0);
  });

  test("a message comes only when something changed (API-09)", async () => {
    await using api = await start(update([identityOf("a")]));
    api.issue("a");
    const stream = api.svids();
    await stream.next();
    api.wits.tell();
    api.source.everybody.set(update([identityOf("a", { chain: ["another leaf"] })]));
    api.source.everybody.set(update([identityOf("a", { hint: "new" })]));
    expect((await stream.next()).svids[0]?.hint).toBe("new");
    api.issue("a", "renewed");
    expect(tokens(await stream.next())).toEqual(["renewed"]);
    expect(stream.waiting).toBe(0);
  });

  test("entries come and go; with the last one the stream ends PERMISSION_DENIED (API-18)", async () => {
    await using api = await start(update([identityOf("a")]));
    api.issue("a");
    api.issue("b");
    const stream = api.svids();
    expect(tokens(await stream.next())).toEqual(["token of a"]);
    api.source.everybody.set(update([identityOf("a"), identityOf("b")]));
    expect(tokens(await stream.next())).toEqual(["token of a", "token of b"]);
    api.source.everybody.set(update([identityOf("b")]));
    expect(tokens(await stream.next())).toEqual(["token of b"]);
    api.source.everybody.set(update([]));
    expect(await stream.end()).toBe(DENIED);
    await until(() => api.wits.followers.size === 0);
  });

  test("a caller that leaves is followed no more", async () => {
    await using api = await start(update([identityOf("a")]));
    api.issue("a");
    const stream = api.svids();
    await stream.next();
    stream.cancel();
    await until(() => api.wits.followers.size === 0);
  });

  test("without an identity it is PERMISSION_DENIED (EP-15)", async () => {
    await using api = await start(update([]));
    expect(await api.svids().end()).toBe(DENIED);
  });
});

describe("where the server issues no WIT-SVIDs both methods are UNIMPLEMENTED (API-02)", () => {
  test.each([
    ["a caller with an identity", [identityOf("a")]],
    ["a caller without", []],
  ])("to %s, by a bundle without WIT authorities", async (_name, identities) => {
    await using api = await start(updateOf(identities, { bundle: jwtBundle("example.org", makeKey("wit-1")) }));
    expect(await api.svids().end()).toBe(UNSUPPORTED);
    expect(await api.bundles().end()).toBe(UNSUPPORTED);
  });

  test("not before the first sync, when nothing is known", async () => {
    await using api = await start(updateOf([], { pending: true }));
    const streams = [api.svids(), api.bundles()] as const;
    await until(() => api.source.everybody.readers === 2);
    api.issue("a");
    api.source.everybody.set(update([identityOf("a")]));
    expect(tokens(await streams[0].next())).toEqual(["token of a"]);
    expect(Object.keys((await streams[1].next()).bundles)).toEqual(["spiffe://example.org"]);
  });

  test("a refusal ends those who have nothing; valid ones go on being served", async () => {
    await using api = await start(update([identityOf("a"), identityOf("b")]));
    const waiting = api.svids("spiffe://example.org/b");
    api.issue("a");
    const served = api.svids("spiffe://example.org/a");
    await served.next();
    await until(() => api.wits.followers.size === 2);
    api.wits.refused = true;
    api.wits.tell();
    expect(await waiting.end()).toBe(UNSUPPORTED);
    expect(tokens(await api.svids().next())).toEqual(["token of a"]);
    expect(served.waiting).toBe(0);
    await api.bundles().next();
  });
});

describe("FetchWITBundles", () => {
  const foreign = witBundle("b.test", makeKey("wit-1"));
  const federated = { federatedBundles: new Map([[foreign.trustDomain, foreign]]) };

  test("JWK sets as texts, of WIT keys only, with use and kid, own and federated (API-20, API-32)", async () => {
    const mixed = { ...own, jwtAuthorities: [makeKey("jwt-1").authority] };
    await using api = await start(update([identityOf("a")], { ...federated, bundle: mixed }));
    const { bundles } = await api.bundles().next();
    expect(Object.keys(bundles)).toEqual(["spiffe://b.test", "spiffe://example.org"]);
    const { keys } = JSON.parse(bundles["spiffe://example.org"] ?? "") as { keys: object[] };
    expect(keys).toEqual([
      { use: "wit-svid", kty: "EC", kid: "wit-1", crv: "P-256", x: expect.any(String), y: expect.any(String) },
    ]);
  });

  test("is told of changes of WIT keys only (API-09)", async () => {
    await using api = await start(update([identityOf("a")]));
    const stream = api.bundles();
    await stream.next();
    api.source.everybody.set(
      update([identityOf("a")], { bundle: { ...own, jwtAuthorities: [makeKey("x").authority] } }),
    );
    api.source.everybody.set(update([identityOf("a")], federated));
    expect(Object.keys((await stream.next()).bundles)).toHaveLength(2);
    api.source.everybody.set(update([identityOf("a")]));
    expect(Object.keys((await stream.next()).bundles)).toEqual(["spiffe://example.org"]);
    expect(stream.waiting).toBe(0);
  });

  test("callers without an identity get the own bundle only where that is allowed", async () => {
    await using api = await start(update([], federated));
    expect(await api.bundles().end()).toBe(DENIED);
    await using open = await start(update([], federated), { allowUnauthenticatedVerifiers: true });
    expect(Object.keys((await open.bundles().next()).bundles)).toEqual(["spiffe://example.org"]);
  });
});

describe("every WIT method", () => {
  test.each([["svids"], ["bundles"]] as const)(
    "%s needs the security header, once, before anything else (EP-05)",
    async (name) => {
      await using api = await start(update([identityOf("a")]));
      const call = (metadata: ReturnType<typeof header>) =>
        name === "svids" ? api.svids("web", metadata).end() : api.bundles(metadata).end();
      for (const metadata of [header("false"), header("true", "true"), header("True")]) {
        expect(await call(metadata)).toBe(`${Status.INVALID_ARGUMENT} security header missing from request`);
      }
      expect(api.source.peers).toEqual([]);
    },
  );

  test("bytes that are no message are INVALID_ARGUMENT", async () => {
    await using api = await start(update([identityOf("a")]));
    const stream = api.harness.client().makeServerStreamRequest(
      "/SpiffeWorkloadAPI/FetchWITSVID",
      (bytes: Buffer) => bytes,
      (bytes: Buffer) => bytes,
      Buffer.from([0x0a, 0xff]),
      header(),
    );
    expect(await new Reader(stream).end()).toBe(`${Status.INVALID_ARGUMENT} request is no valid message`);
    expect(WITSVIDRequest.decode(Buffer.alloc(0)).spiffeId).toBe("");
  });

  test("has a limit of its own", async () => {
    await using api = await start(update([identityOf("a")]), { rateLimits: { FetchWITSVID: 1, FetchWITBundles: 1 } });
    api.issue("a");
    await api.svids().next();
    await api.bundles().next();
    const refused = (name: string): string =>
      `${Status.UNAVAILABLE} rate limit exceeded for /SpiffeWorkloadAPI/${name}`;
    expect(await api.svids().end()).toBe(refused("FetchWITSVID"));
    expect(await api.bundles().end()).toBe(refused("FetchWITBundles"));
  });
});
