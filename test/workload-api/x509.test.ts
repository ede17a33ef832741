import { generateKeyPairSync } from "node:crypto";
import { status as Status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import type { X509BundlesResponse, X509SVIDResponse } from "../../src/gen/workload/workload.ts";
import { AgentError } from "../../src/lib/errors.ts";
import { parseTrustDomain } from "../../src/spiffe/id.ts";
import type { WorkloadUpdate } from "../../src/workload-api/ports.ts";
import { X509Encoder } from "../../src/workload-api/x509-encoder.ts";
import { until } from "../lib/rpc/harness.ts";
import { ApiHarness, bundleOf, FakeSource, header, identityOf, Reader, updateOf } from "./harness.ts";

async function start(update: WorkloadUpdate, options: Parameters<typeof ApiHarness.open>[1] = {}) {
  const source = new FakeSource();
  source.everybody.set(update);
  const harness = await ApiHarness.open(source, options);
  const svids = (metadata = header()): Reader<X509SVIDResponse> =>
    new Reader(harness.client().fetchX509Svid({}, metadata));
  const bundles = (metadata = header()): Reader<X509BundlesResponse> =>
    new Reader(harness.client().fetchX509Bundles({}, metadata));
  return { source, harness, svids, bundles, [Symbol.asyncDispose]: () => harness[Symbol.asyncDispose]() };
}

const ids = (response: X509SVIDResponse): string[] => response.svids.map(({ spiffeId }) => spiffeId);

describe("FetchX509SVID", () => {
  test("encodes chain, key, bundles and hint as the standard says (API-01, API-14, API-15, API-21, FED-10)", async () => {
    const key = generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey;
    await using api = await start(
      updateOf(
        [identityOf("web", { hint: "internal", key, federatesWith: ["b.test", "a.test"].map(parseTrustDomain) })],
        {
          federatedBundles: new Map([
            [parseTrustDomain("b.test"), bundleOf("b.test", "b")],
            [parseTrustDomain("a.test"), bundleOf("a.test", "a")],
            // Of an entry whose SVID is still on its way.
            [parseTrustDomain("c.test"), bundleOf("c.test", "c")],
          ]),
        },
      ),
    );
    const message = await api.svids().next();
    expect(message).toEqual({
      svids: [
        {
          spiffeId: "spiffe://example.org/web",
          x509Svid: Buffer.from("leaf of webintermediate"),
          x509SvidKey: key.export({ type: "pkcs8", format: "der" }),
          bundle: Buffer.from("root 1root 2"),
          hint: "internal",
        },
      ],
      crl: [],
      federatedBundles: { "spiffe://a.test": Buffer.from("a"), "spiffe://b.test": Buffer.from("b") },
    });
  });

  test("keeps the order, and of equal hints only the oldest entry (API-16, API-33)", async () => {
    await using api = await start(
      updateOf([
        identityOf("a", { hint: "x", createdAt: 2 }),
        identityOf("b", { hint: "x", createdAt: 1 }),
        identityOf("c", { hint: "y", createdAt: 1 }),
        identityOf("d"),
        identityOf("e", { hint: "y", createdAt: 1 }),
        identityOf("f"),
        identityOf("g", { storeSvid: true }),
        identityOf("h", { hint: "x", createdAt: 1 }),
      ]),
    );
    const message = await api.svids().next();
    expect(ids(message)).toEqual(["b", "c", "d", "f"].map((name) => `spiffe://example.org/${name}`));
  });

  test("without an identity it is PERMISSION_DENIED; an SVID for a store of secrets is none (EP-15, API-18)", async () => {
    await using api = await start(updateOf([identityOf("a", { storeSvid: true })]));
    expect(await api.svids().end()).toBe(`${Status.PERMISSION_DENIED} no identity issued`);
    const line = api.harness.log.lines.find(({ message }) => message === "No identity issued");
    expect(line?.fields).toMatchObject({ pid: process.pid, caller_uid: process.getuid?.(), registered: false });
  });

  test("a rotation is pushed, the loss of the last identity ends the stream (API-05, API-07, API-18)", async () => {
    await using api = await start(updateOf([identityOf("a")]));
    const stream = api.svids();
    await stream.next();
    api.source.everybody.set(updateOf([identityOf("a", { chain: ["new leaf"] }), identityOf("b")]));
    const message = await stream.next();
    expect(message.svids.map(({ x509Svid }) => x509Svid.toString())).toEqual(["new leaf", "leaf of bintermediate"]);
    api.source.everybody.set(updateOf([]));
    expect(await stream.end()).toBe(`${Status.PERMISSION_DENIED} no identity issued`);
    await until(() => api.harness.api.stats.streams === 0);
    expect(api.source.everybody.readers).toBe(0);
  });

  test("no message is sent twice in a row (API-07)", async () => {
    const identity = identityOf("a");
    await using api = await start(updateOf([identity]));
    const stream = api.svids();
    await stream.next();
    for (let i = 0; i < 5; i++) api.source.everybody.set(updateOf([identity]));
    api.source.everybody.set(updateOf([identity], { bundle: bundleOf("example.org", "new root") }));
    expect((await stream.next()).svids[0]?.bundle.toString()).toBe("new root");
    expect(stream.waiting).toBe(0);
  });

  test("bundles do not wait for X.509-SVIDs that are on their way (API-06)", async () => {
    const b = parseTrustDomain("b.test");
    const { entry } = identityOf("web", { federatesWith: [b] });
    const coming = { pending: true, entries: [entry], federatedBundles: new Map([[b, bundleOf("b.test", "b")]]) };
    await using api = await start(updateOf([], coming));
    expect(Object.keys((await api.bundles().next()).bundles)).toEqual(["spiffe://b.test", "spiffe://example.org"]);
    await using early = await start(updateOf([], { pending: true }), { allowUnauthenticatedVerifiers: true });
    const stream = early.bundles();
    await until(() => early.source.everybody.readers === 1);
    early.source.everybody.set(updateOf([]));
    expect(Object.keys((await stream.next()).bundles)).toEqual(["spiffe://example.org"]);
  });

  test("when the last SVID expires the stream ends UNAVAILABLE, for the caller is still entitled to one", async () => {
    const identity = identityOf("a");
    await using api = await start(updateOf([identity]));
    const stream = api.svids();
    await stream.next();
    api.source.everybody.set(updateOf([], { entries: [identity.entry], pending: true, lapsed: true }));
    expect(await stream.end()).toBe(`${Status.UNAVAILABLE} the X.509-SVID has expired and could not be renewed yet`);
    // Who comes now waits for the next one.
    const next = api.svids();
    await until(() => api.source.everybody.readers === 1);
    api.source.everybody.set(updateOf([identity]));
    expect(ids(await next.next())).toHaveLength(1);
  });

  test("the first message waits for pending identities; a later pending one holds up nothing (API-06)", async () => {
    await using api = await start(updateOf([identityOf("a")], { pending: true }));
    const stream = api.svids();
    await until(() => api.source.everybody.readers === 1);
    api.source.everybody.set(updateOf([], { pending: true }));
    api.source.everybody.set(updateOf([identityOf("a"), identityOf("b")]));
    expect(ids(await stream.next())).toHaveLength(2);
    api.source.everybody.set(updateOf([identityOf("b")], { pending: true }));
    expect(ids(await stream.next())).toEqual(["spiffe://example.org/b"]);
    api.source.everybody.set(updateOf([], { pending: true }));
    expect(await stream.end()).toBe(`${Status.PERMISSION_DENIED} no identity issued`);
  });

  test("equal callers share one encoding, and a key is exported once for its lifetime", async () => {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    let exports = 0;
    const key = new Proxy(privateKey, {
      get(target, name) {
        if (name === "export") exports++;
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    const identity = identityOf("a", { key });
    await using api = await start(updateOf([identity]));
    const streams = Array.from({ length: 20 }, () => api.svids());
    for (const stream of streams) await stream.next();
    api.source.everybody.set(updateOf([identity], { bundle: bundleOf("example.org", "other") }));
    for (const stream of streams) await stream.next();
    expect(exports).toBe(1);
    const encoder = new X509Encoder();
    const update = updateOf([identity]);
    expect(encoder.svids(update)).toBe(encoder.svids(update));
    expect(encoder.bundles(update)).toBe(encoder.bundles(update));
  });

  test("a client that never reads costs two messages however much changes, and then gets the newest", async () => {
    await using api = await start(updateOf([identityOf("a", { chain: ["0".repeat(500_000)] })]));
    const raw = api.harness.client().fetchX509Svid({}, header());
    raw.pause();
    raw.on("error", () => {});
    await until(() => api.source.everybody.readers === 1);
    for (let i = 1; i < 40; i++) {
      api.source.everybody.set(updateOf([identityOf("a", { chain: [String(i).padStart(500_000, "x")] })]));
      for (let turns = 0; turns < 3; turns++) await new Promise((resolve) => setImmediate(resolve));
    }
    const seen: string[] = [];
    raw.on("data", (message: X509SVIDResponse) => seen.push(message.svids[0]?.x509Svid.toString().slice(-2) ?? ""));
    raw.resume();
    await until(() => seen.at(-1) === "39");
    expect(seen.length).toBeLessThan(8);
  });

  test("a cancelled stream is let go, also while it is attested", async () => {
    await using api = await start(updateOf([identityOf("a")]));
    const stream = api.svids();
    await stream.next();
    stream.cancel();
    await until(() => api.source.everybody.readers === 0);
    let aborted = false;
    api.source.attested = (_peer, signal) =>
      new Promise((_resolve, reject) =>
        signal.addEventListener("abort", () => {
          aborted = true;
          reject(signal.reason);
        }),
      );
    const second = api.svids();
    await until(() => api.source.peers.length === 2);
    second.cancel();
    await until(() => aborted && api.harness.api.stats.streams === 0);
    expect(api.harness.log.lines).toEqual([]);
  });

  test("a change for thousands of streams leaves the event loop turns in between", async () => {
    await using api = await start(updateOf([identityOf("a")]));
    const client = api.harness.client();
    const streams = Array.from({ length: 80 }, () => new Reader(client.fetchX509Svid({}, header())));
    for (const stream of streams) await stream.next();
    expect(api.harness.api.stats.streams).toBe(80);
    api.source.everybody.set(updateOf([identityOf("b")]));
    for (const stream of streams) expect(ids(await stream.next())).toEqual(["spiffe://example.org/b"]);
    expect(streams.every((stream) => stream.waiting === 0)).toBe(true);
  });
});

describe("FetchX509Bundles", () => {
  const federated = { federatedBundles: new Map([[parseTrustDomain("b.test"), bundleOf("b.test", "b")]]) };
  const names = (message: X509BundlesResponse): string[] => Object.keys(message.bundles);

  test("gives the own and the federated bundles, and changes only (API-05, API-20, API-21)", async () => {
    const identity = identityOf("a");
    await using api = await start(updateOf([identity], federated));
    const stream = api.bundles();
    expect(await stream.next()).toEqual({
      crl: [],
      bundles: { "spiffe://b.test": Buffer.from("b"), "spiffe://example.org": Buffer.from("root 1root 2") },
    });
    api.source.everybody.set(updateOf([identityOf("a", { chain: ["rotated"] })], federated));
    api.source.everybody.set(updateOf([identity]));
    expect(names(await stream.next())).toEqual(["spiffe://example.org"]);
    expect(stream.waiting).toBe(0);
    api.source.everybody.set(updateOf([]));
    expect(await stream.end()).toBe(`${Status.PERMISSION_DENIED} no identity issued`);
  });

  test("callers without an identity get the own bundle only where that is allowed", async () => {
    await using strict = await start(updateOf([], federated));
    expect(await strict.bundles().end()).toBe(`${Status.PERMISSION_DENIED} no identity issued`);
    await using open = await start(updateOf([], federated), { allowUnauthenticatedVerifiers: true });
    const stream = open.bundles();
    expect(names(await stream.next())).toEqual(["spiffe://example.org"]);
    open.source.everybody.set(updateOf([identityOf("a")], federated));
    expect(names(await stream.next())).toEqual(["spiffe://b.test", "spiffe://example.org"]);
    open.source.everybody.set(updateOf([], federated));
    expect(await open.svids().end()).toBe(`${Status.PERMISSION_DENIED} no identity issued`);
  });
});

describe("every method", () => {
  test.each([
    ["no value", header("")],
    ["another value", header("false")],
    ["another case", header("True")],
    ["two values", header("true", "true")],
  ])("a security header with %s is INVALID_ARGUMENT before anything else (EP-05)", async (_name, metadata) => {
    const error = `${Status.INVALID_ARGUMENT} security header missing from request`;
    await using api = await start(updateOf([identityOf("a")]));
    expect(await api.svids(metadata).end()).toBe(error);
    expect(await api.bundles(metadata).end()).toBe(error);
    expect(await new Reader(api.harness.client().fetchWitsvid({ spiffeId: "" }, metadata)).end()).toBe(error);
    expect(api.source.peers).toHaveLength(0);
  });

  test("the header's absence is the same (EP-05)", async () => {
    await using api = await start(updateOf([identityOf("a")]));
    const stream = new Reader(api.harness.client().fetchX509Svid({}));
    expect(await stream.end()).toBe(`${Status.INVALID_ARGUMENT} security header missing from request`);
  });

  test("failed attestation ends the call with its code and public message, and says why in the log", async () => {
    await using api = await start(updateOf([identityOf("a")]));
    api.source.attested = async () => {
      throw new AgentError("UNAVAILABLE", "kubelet does not answer", { publicMessage: "workload attestation failed" });
    };
    expect(await api.svids().end()).toBe(`${Status.UNAVAILABLE} workload attestation failed`);
    expect(api.harness.log.lines[0]?.fields).toMatchObject({
      error: "kubelet does not answer",
      method: "/SpiffeWorkloadAPI/FetchX509SVID",
      status_code: "Unavailable",
    });
    api.source.attested = () => Promise.reject(new TypeError("a bug"));
    expect(await api.svids().end()).toBe(`${Status.INTERNAL} internal error`);
  });

  test("selectors choose the cell", async () => {
    await using api = await start(updateOf([identityOf("a")]));
    api.source.attested = async (peer) => [{ type: "unix", value: `uid:${peer.uid}` }];
    await api.svids().next();
    expect(api.source.seen).toEqual([[`unix:uid:${process.getuid?.()}`]]);
  });

  test("closing tells open streams, and the socket is gone", async () => {
    const api = await start(updateOf([identityOf("a")]));
    const stream = api.svids();
    await stream.next();
    const controller = new AbortController();
    const running = api.harness.api.run(controller.signal);
    controller.abort();
    expect(await stream.end()).toBe(`${Status.UNAVAILABLE} agent is stopping`);
    await running;
    expect(await api.svids().end()).toMatch(new RegExp(`^${Status.UNAVAILABLE} `));
    await api[Symbol.asyncDispose]();
  });

  test("a disabled Workload API is UNIMPLEMENTED, whatever the profile (API-01, API-02, EP-19)", async () => {
    await using api = await start(updateOf([identityOf("a")]), { disableWorkloadApi: true });
    const client = api.harness.client();
    const streams = [
      new Reader(client.fetchX509Svid({}, header())),
      new Reader(client.fetchX509Bundles({}, header())),
      new Reader(client.fetchJwtBundles({}, header())),
      new Reader(client.fetchWitsvid({ spiffeId: "" }, header())),
      new Reader(client.fetchWitBundles({}, header())),
    ];
    for (const stream of streams) expect(await stream.end()).toMatch(new RegExp(`^${Status.UNIMPLEMENTED} `));
  });
});
