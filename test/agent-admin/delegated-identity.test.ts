/** The Delegated Identity API on a real socket. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, test } from "vitest";
import type {
  FetchJWTSVIDsRequest,
  FetchJWTSVIDsResponse,
  SubscribeToX509SVIDsRequest,
} from "../../src/gen/spire/api/agent/delegatedidentity/v1/delegatedidentity.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { publicError } from "../../src/lib/errors.ts";
import { parseTrustDomain } from "../../src/spiffe/id.ts";
import type { WorkloadIdentity } from "../../src/workload-api/ports.ts";
import { bundleOf, identityOf, Reader, updateOf } from "../workload-api/harness.ts";
import { AdminHarness, ask, FakeAgent } from "./harness.ts";

const WEB = [{ type: "unix", value: "uid:7" }];
const NOBODY: SubscribeToX509SVIDsRequest = { selectors: [], pid: 0 };

function as(entryId: string, change: Partial<WorkloadIdentity["entry"]>): WorkloadIdentity {
  const identity = identityOf(entryId);
  return { ...identity, entry: { ...identity.entry, ...change } };
}

function pathsOf(message: { x509Svids: { x509Svid?: { id?: { path: string } | undefined } | undefined }[] }): string[] {
  return message.x509Svids.map(({ x509Svid }) => x509Svid?.id?.path ?? "");
}

function fetchJwt(
  harness: AdminHarness,
  request: Partial<FetchJWTSVIDsRequest>,
): Promise<FetchJWTSVIDsResponse | string> {
  const client = harness.delegated;
  return ask<FetchJWTSVIDsRequest, FetchJWTSVIDsResponse>(
    (message, callback) => client.fetchJwtsviDs(message, callback),
    { audience: [], selectors: [], pid: 0, ...request },
  );
}

describe("who may ask", () => {
  test("a caller without identities may not", async () => {
    const agent = new FakeAgent();
    agent.cell("caller:me").set(updateOf([]));
    await using harness = await AdminHarness.open(agent);
    const client = harness.delegated;
    for (const stream of [
      client.subscribeToX509SviDs({ selectors: WEB, pid: 0 }),
      client.subscribeToX509Bundles({}),
      client.subscribeToJwtBundles({}),
    ]) {
      expect(await new Reader<unknown>(stream as never).end()).toBe("7 no identity issued");
    }
    expect(await fetchJwt(harness, { audience: ["a"], selectors: WEB })).toBe("7 no identity issued");
  });

  test("nor may one with other identities", async () => {
    const agent = new FakeAgent();
    agent.cell("caller:me").set(updateOf([identityOf("web")]));
    await using harness = await AdminHarness.open(agent);
    const refused = "7 caller not configured as an authorized delegate";
    // Judged before the request's selectors are.
    expect(await new Reader(harness.delegated.subscribeToX509SviDs(NOBODY)).end()).toBe(refused);
    expect(await fetchJwt(harness, { audience: ["a"] })).toBe(refused);
  });

  test("one that cannot be attested gets UNAVAILABLE", async () => {
    const agent = new FakeAgent();
    agent.attested = () => Promise.reject(publicError("UNAVAILABLE", "workload attestation failed"));
    await using harness = await AdminHarness.open(agent);
    expect(await new Reader(harness.delegated.subscribeToX509Bundles({})).end()).toBe("14 workload attestation failed");
  });

  test("a caller waits until the agent has synchronised", async () => {
    const agent = new FakeAgent();
    agent.cell("caller:me").set(updateOf([], { pending: true }));
    await using harness = await AdminHarness.open(agent);
    const reader = new Reader(harness.delegated.subscribeToX509Bundles({}));
    await expect.poll(() => agent.cell("caller:me").readers).toBe(1);
    agent.cell("caller:me").set(updateOf([identityOf("delegate")]));
    expect(Object.keys((await reader.next()).caCertificates)).toEqual(["spiffe://example.org"]);
    reader.cancel();
  });

  test("a delegate that is none any more gets no further message", async () => {
    const agent = new FakeAgent();
    await using harness = await AdminHarness.open(agent);
    const svids = new Reader(harness.delegated.subscribeToX509SviDs({ selectors: WEB, pid: 0 }));
    const bundles = new Reader(harness.delegated.subscribeToX509Bundles({}));
    await Promise.all([svids.next(), bundles.next()]);
    agent.cell("caller:me").set(updateOf([identityOf("web")]));
    agent.cell("unix:uid:7").set(updateOf([identityOf("web")]));
    agent.bundles.set({ ...agent.bundles.value, bundle: bundleOf("example.org", "root 2") });
    const refused = "7 caller not configured as an authorized delegate";
    expect([await svids.end(), await bundles.end()]).toEqual([refused, refused]);
  });
});

test("nothing of a stream stays with its connection, on which a delegate may have many one after the other", async () => {
  const agent = new FakeAgent();
  const listeners = new Set<() => void>();
  const { attested } = agent;
  agent.attested = async (peer, signal) => {
    peer.onExit = (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    };
    return attested(peer, signal);
  };
  agent.cell("unix:uid:7").set(updateOf([identityOf("web")]));
  await using harness = await AdminHarness.open(agent);
  const client = harness.delegated;
  for (let round = 0; round < 3; round++) {
    const streams = [
      new Reader<unknown>(client.subscribeToX509SviDs({ selectors: WEB, pid: 0 })),
      new Reader<unknown>(client.subscribeToX509Bundles({})),
    ];
    for (const stream of streams) await stream.next();
    expect(listeners.size).toBe(2);
    for (const stream of streams) stream.cancel();
    await expect.poll(() => listeners.size).toBe(0);
  }
});

describe("SubscribeToX509SVIDs", () => {
  test.for([
    ["neither", NOBODY],
    ["both", { selectors: WEB, pid: process.pid }],
  ] as const)("%s of selectors and pid", async ([_name, request], { expect: expected }) => {
    await using harness = await AdminHarness.open(new FakeAgent());
    expected(
      await new Reader(harness.delegated.subscribeToX509SviDs({ ...request, selectors: [...request.selectors] })).end(),
    ).toBe("3 must provide either selectors or non-zero PID, but not both");
  });

  test.for([
    { type: "", value: "x" },
    { type: "a:b", value: "x" },
    { type: "a", value: "" },
  ])("refuses the selector %o", async (selector) => {
    await using harness = await AdminHarness.open(new FakeAgent());
    expect(await new Reader(harness.delegated.subscribeToX509SviDs({ selectors: [selector], pid: 0 })).end()).toBe(
      "3 could not parse provided selectors",
    );
  });

  test("withholds admin and downstream identities, keeps hints, and sends only what is new", async () => {
    const agent = new FakeAgent();
    const cell = agent.cell("unix:uid:7");
    const served = [
      as("admin", { admin: true, federatesWith: [parseTrustDomain("admin.test")] }),
      as("downstream", { downstream: true }),
      as("one", { hint: "h", federatesWith: [parseTrustDomain("z.test")] }),
      as("two", { hint: "h", federatesWith: [parseTrustDomain("a.test")] }),
    ];
    const federated = new Map(
      ["z.test", "a.test", "admin.test"].map((name) => [bundleOf(name).trustDomain, bundleOf(name, "r")]),
    );
    cell.set(updateOf(served, { federatedBundles: federated }));
    await using harness = await AdminHarness.open(agent);
    const reader = new Reader(harness.delegated.subscribeToX509SviDs({ selectors: WEB, pid: 0 }));
    const first = await reader.next();
    expect(pathsOf(first)).toEqual(["/one", "/two"]);
    expect(first.federatesWith).toEqual(["spiffe://a.test", "spiffe://z.test"]);
    expect(first.x509Svids[0]).toMatchObject({
      x509Svid: {
        id: { trustDomain: "example.org", path: "/one" },
        certChain: [Buffer.from("leaf of one"), Buffer.from("intermediate")],
        expiresAt: BigInt(Math.floor(Number.MAX_SAFE_INTEGER / 1000)),
        hint: "h",
      },
      x509SvidKey: served[2]?.svid.privateKey.export({ type: "pkcs8", format: "der" }),
    });
    // The same for the delegate: nothing is sent.
    cell.set(updateOf(served.slice(1), { federatedBundles: federated }));
    // Nothing left is a message, not an error.
    cell.set(updateOf([]));
    expect(await reader.next()).toEqual({ x509Svids: [], federatesWith: [] });
    reader.cancel();
    await expect.poll(() => cell.readers).toBe(0);
  });

  test("the first message waits for SVIDs that are on their way", async () => {
    const agent = new FakeAgent();
    const cell = agent.cell("unix:uid:7");
    cell.set(updateOf([], { pending: true, entries: [identityOf("web").entry] }));
    await using harness = await AdminHarness.open(agent);
    const reader = new Reader(harness.delegated.subscribeToX509SviDs({ selectors: WEB, pid: 0 }));
    await expect.poll(() => cell.readers).toBe(1);
    cell.set(updateOf([identityOf("web")]));
    expect(pathsOf(await reader.next())).toEqual(["/web"]);
    reader.cancel();
  });

  test("the first SVID of each stream is measured from the call on", async () => {
    let now = 5_000;
    const clock = { ...systemClock, monotonic: () => now };
    const agent = new FakeAgent();
    const cell = agent.cell("unix:uid:7");
    cell.set(updateOf([as("admin", { admin: true })]));
    await using harness = await AdminHarness.open(agent, clock);
    const reader = new Reader(harness.delegated.subscribeToX509SviDs({ selectors: WEB, pid: 0 }));
    expect(pathsOf(await reader.next())).toEqual([]);
    const { delegated_identity_api_subscribe_x509_svids_first_update_elapsed_time: measured } = harness.metrics.values;
    expect(measured).toEqual([]);
    now = 5_250;
    cell.set(updateOf([identityOf("one")]));
    expect(pathsOf(await reader.next())).toEqual(["/one"]);
    cell.set(updateOf([identityOf("two")]));
    expect(pathsOf(await reader.next())).toEqual(["/two"]);
    expect(measured).toEqual([250]);
    reader.cancel();
  });

  test("attests a pid, and ends when that process is another one", async () => {
    const agent = new FakeAgent();
    const child = spawn("sleep", ["60"]);
    await once(child, "spawn");
    const cell = agent.cell(`unix:uid:${process.geteuid?.()}`);
    cell.set(updateOf([identityOf("web")]));
    await using harness = await AdminHarness.open(agent);
    const reader = new Reader(harness.delegated.subscribeToX509SviDs({ selectors: [], pid: child.pid ?? 0 }));
    expect(pathsOf(await reader.next())).toEqual(["/web"]);
    expect(agent.processes.map(({ pid }) => pid)).toEqual([child.pid]);
    child.kill("SIGKILL");
    await once(child, "exit");
    cell.set(updateOf([identityOf("other")]));
    expect(await reader.end()).toBe("14 workload attestation failed");
    expect(await new Reader(harness.delegated.subscribeToX509SviDs({ selectors: [], pid: child.pid ?? 0 })).end()).toBe(
      "14 workload attestation failed",
    );
  });
});

describe("FetchJWTSVIDs", () => {
  test("gives a token for each identity that may be handed on", async () => {
    const agent = new FakeAgent();
    agent
      .cell("unix:uid:7")
      .set(updateOf([as("admin", { admin: true }), as("one", { hint: "h" }), as("down", { downstream: true })]));
    await using harness = await AdminHarness.open(agent);
    expect(await fetchJwt(harness, { audience: ["a", "b"], selectors: WEB })).toEqual({
      svids: [
        {
          token: "one:a,b",
          id: { trustDomain: "example.org", path: "/one" },
          issuedAt: 0n,
          expiresAt: BigInt(Math.floor(Number.MAX_SAFE_INTEGER / 1000)),
          hint: "h",
        },
      ],
    });
    expect(agent.asked.map(({ entryId }) => entryId)).toEqual(["one"]);
  });

  test("says what is wrong, the audience first", async () => {
    const agent = new FakeAgent();
    agent.cell("unix:uid:7").set(updateOf([as("admin", { admin: true })]));
    await using harness = await AdminHarness.open(agent);
    expect(await fetchJwt(harness, { audience: ["a"], selectors: WEB })).toBe("7 no identity issued");
    expect(await fetchJwt(harness, { audience: ["a"] })).toBe(
      "3 must provide either selectors or non-zero PID, but not both",
    );
    expect(await fetchJwt(harness, { audience: ["a"], pid: 2 ** 31 - 1 })).toBe("14 workload attestation failed");
    agent.cell("caller:me").set(updateOf([]));
    expect(await fetchJwt(harness, { selectors: WEB })).toBe("3 audience must be specified");
    expect(await fetchJwt(harness, { audience: [""], selectors: WEB })).toBe("3 audience must be specified");
  });

  test("an entry that is gone, or not to be handed on, when its token comes gives none", async () => {
    const agent = new FakeAgent();
    agent.cell("unix:uid:7").set(updateOf(["one", "two", "three"].map((id) => identityOf(id))));
    const { token } = agent;
    agent.token = async (...args) => {
      agent.cell("unix:uid:7").set(updateOf([as("one", { admin: true }), identityOf("three")]));
      return token(...args);
    };
    await using harness = await AdminHarness.open(agent);
    const answer = await fetchJwt(harness, { audience: ["a"], selectors: WEB });
    expect(answer).toMatchObject({ svids: [{ id: { path: "/three" } }] });
    agent.cell("unix:uid:7").set(updateOf([identityOf("two")]));
    expect(await fetchJwt(harness, { audience: ["a"], selectors: WEB })).toBe("7 no identity issued");
  });

  test("a delegate that is none any more when the token comes gets none", async () => {
    const agent = new FakeAgent();
    agent.cell("unix:uid:7").set(updateOf([identityOf("web")]));
    const { token } = agent;
    agent.token = async (...args) => {
      agent.cell("caller:me").set(updateOf([]));
      return token(...args);
    };
    await using harness = await AdminHarness.open(agent);
    expect(await fetchJwt(harness, { audience: ["a"], selectors: WEB })).toBe("7 no identity issued");
  });
});

describe("bundles", () => {
  test("all that the agent holds, by trust domain ID, whenever they change", async () => {
    const agent = new FakeAgent();
    agent.bundles.set({ ...agent.bundles.value, synced: false });
    await using harness = await AdminHarness.open(agent);
    const x509 = new Reader(harness.delegated.subscribeToX509Bundles({}));
    const jwt = new Reader(harness.delegated.subscribeToJwtBundles({}));
    await expect.poll(() => agent.bundles.readers).toBe(2);
    const other = bundleOf("other.test", "root a", "root b");
    const bundle = bundleOf("example.org", "root");
    agent.bundles.set({ synced: true, bundle, federatedBundles: new Map([[other.trustDomain, other]]) });
    expect((await x509.next()).caCertificates).toEqual({
      "spiffe://example.org": Buffer.from("root"),
      "spiffe://other.test": Buffer.from("root aroot b"),
    });
    const jwks = (await jwt.next()).bundles;
    expect(Object.keys(jwks)).toEqual(["spiffe://example.org", "spiffe://other.test"]);
    expect(JSON.parse(Buffer.from(jwks["spiffe://other.test"] ?? []).toString())).toEqual({ keys: [] });
    // A trust domain that is gone is trusted no more; its JWT keys change with it.
    agent.bundles.set({ synced: true, bundle, federatedBundles: new Map() });
    expect(Object.keys((await x509.next()).caCertificates)).toEqual(["spiffe://example.org"]);
    expect(Object.keys((await jwt.next()).bundles)).toEqual(["spiffe://example.org"]);
    // Only X.509 roots change: nothing for those who follow JWT keys.
    agent.bundles.set({ synced: true, bundle: bundleOf("example.org", "root 2"), federatedBundles: new Map() });
    expect((await x509.next()).caCertificates).toEqual({ "spiffe://example.org": Buffer.from("root 2") });
    expect(jwt.waiting).toBe(0);
    x509.cancel();
    jwt.cancel();
  });
});
