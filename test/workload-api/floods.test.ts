/** Callers who want more than their share: what they may hold is bounded, and others are served meanwhile. */
import { readdirSync } from "node:fs";
import { chmod, mkdtempDisposable } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { credentials, status as Status } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { ServerReflectionClient } from "../../src/gen/grpc/reflection/v1/reflection.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { silentLogger } from "../../src/lib/log.ts";
import { GrpcJsTransport } from "../../src/lib/rpc/grpc-js.ts";
import { UnixListener } from "../../src/lib/rpc/unix-listener.ts";
import { FairTurns } from "../../src/workload-api/fair-turns.ts";
import { defaultLimits } from "../../src/workload-api/limits.ts";
import type { ConnectedPeer } from "../../src/workload-api/peer.ts";
import { PeerGate } from "../../src/workload-api/peers.ts";
import { ReadShares } from "../../src/workload-api/read-shares.ts";
import { callFields, frame, PREFACE } from "../lib/rpc/frames.ts";
import { until } from "../lib/rpc/harness.ts";
import { framed, RawClient } from "./bad-input/raw-client.ts";
import { ApiHarness, FakeSource, header, identityOf, native, Reader, updateOf } from "./harness.ts";

const HEADER = { "workload.spiffe.io": "true" };
const HEALTH = "/grpc.health.v1.Health/Check";
const limits = (more: Partial<ReturnType<typeof defaultLimits>>) => ({ ...defaultLimits(4000), ...more });

async function serving(more: Partial<ReturnType<typeof defaultLimits>> = {}) {
  const source = new FakeSource();
  source.everybody.set(updateOf([identityOf("a")]));
  return ApiHarness.open(source, { limits: limits(more) });
}

/** A connection with so many calls that are complete, its answers read or not. */
function raw(path: string, method: string, calls: number): net.Socket {
  const socket = net.connect(path);
  socket.on("error", () => {});
  const fields = callFields(method);
  const parts = Array.from({ length: calls }, (_, index) => [
    frame(1, 4, 1 + 2 * index, fields),
    frame(0, 1, 1 + 2 * index, Buffer.alloc(5)),
  ]);
  socket.write(Buffer.concat([PREFACE, ...parts.flat()]));
  return socket;
}

/** Fetches on a connection of its own; how many identities that brought. */
async function first(harness: ApiHarness): Promise<number> {
  const stream = new Reader(harness.client().fetchX509Svid({}, header()));
  const { svids } = await stream.next();
  stream.cancel();
  return svids.length;
}

test("calls of one user are bounded, its connection then closed; that it ends makes room (EP-14)", async () => {
  await using harness = await serving({ maxCallsPerUid: 5 });
  const patient = harness.client();
  const streams = Array.from({ length: 5 }, () => new Reader(patient.fetchX509Svid({}, header())));
  for (const stream of streams) await stream.next();
  expect(harness.api.stats).toMatchObject({ calls: 5, streams: 5, refusedCalls: 0 });
  const another = harness.client();
  expect(await new Reader(another.fetchX509Svid({}, header())).end()).toBe(
    `${Status.UNAVAILABLE} too many calls of this user`,
  );
  await until(() => harness.api.stats.connections === 1);
  expect(harness.api.stats).toMatchObject({ calls: 5, refusedCalls: 1 });
  expect(harness.log.lines.filter(({ message }) => message === "User makes too many calls")).toHaveLength(1);
  streams[0]?.cancel();
  await until(() => harness.api.stats.calls === 4);
  expect(await first(harness)).toBe(1);
});

test("so are those that need no identity, and all calls together", async () => {
  await using harness = await serving({ maxCalls: 3 });
  const client = new ServerReflectionClient(`unix://${harness.path}`, credentials.createInsecure());
  const streams = Array.from({ length: 3 }, () => client.serverReflectionInfo().on("error", () => {}));
  for (const stream of streams) stream.write({ host: "", messageRequest: undefined });
  await until(() => harness.api.stats.calls === 3);
  expect(await new Reader(harness.client().fetchX509Svid({}, header())).end()).toBe(
    `${Status.UNAVAILABLE} too many calls`,
  );
  for (const stream of streams) stream.cancel();
  await until(() => harness.api.stats.calls === 0);
  expect(await first(harness)).toBe(1);
  client.close();
});

test("a caller that reads no answers is not read either", async () => {
  await using harness = await serving();
  const socket = raw(harness.path, HEALTH, 0);
  socket.pause();
  const fields = callFields(HEALTH);
  for (let sent = 0; socket.writableLength < 64 * 1024; ) {
    expect(sent).toBeLessThan(50_000);
    for (let call = 0; call < 50; call++, sent++) {
      socket.write(frame(1, 4, 1 + 2 * sent, fields));
      socket.write(frame(0, 1, 1 + 2 * sent, Buffer.alloc(5)));
    }
    for (let turns = 0; turns < 5; turns++) await new Promise((resolve) => setImmediate(resolve));
  }
  expect(await first(harness)).toBe(1);
  socket.destroy();
});

/** Gives nobody a turn until it is told to. */
class HeldTurns extends FairTurns {
  readonly held: (() => void)[] = [];

  override run(_uid: number, work: () => void): void {
    this.held.push(work);
  }
}

test("that a caller has gone while it waited for its turn is noticed when it comes", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "turns-"));
  await chmod(folder.path, 0o755);
  const path = join(folder.path, "s");
  const turns = new HeldTurns(systemClock);
  const gate = new PeerGate(
    { native, clock: systemClock, log: silentLogger, turns, shares: new ReadShares(160) },
    { maxConnections: 10, maxPerUid: 10 },
  );
  const transport = new GrpcJsTransport<ConnectedPeer>(
    { methods: new Map(), onConnect: gate.onConnect, maxRequest: 1000, maxStreams: 10, maxConnections: 10 },
    { clock: systemClock },
  );
  const listener = new UnixListener({ path, audience: "workload", paused: true }, (socket) =>
    gate.receive(socket, () => transport.accept(socket)),
  );
  await listener.open();
  const socket = raw(path, HEALTH, 3);
  await until(() => gate.connections === 1);
  socket.end();
  for (let turns = 0; turns < 100; turns++) await new Promise((resolve) => setImmediate(resolve));
  expect([gate.connections, transport.connections, turns.held.length]).toEqual([1, 0, 1]);
  socket.destroy();
  for (let turns = 0; turns < 100; turns++) await new Promise((resolve) => setImmediate(resolve));
  turns.held[0]?.();
  await until(() => gate.connections === 0);
  await listener.close();
  await transport.shutdown(0);
});

test("connections that are closed before their turn leave nothing behind", async () => {
  await using harness = await serving({ maxConnections: 1000, maxConnectionsPerUid: 1000 });
  const open = (): number => readdirSync("/proc/self/fd").length;
  const before = open();
  for (let round = 0; round < 3; round++) {
    const sockets = Array.from({ length: 300 }, () => raw(harness.path, HEALTH, 3));
    await until(() => harness.api.stats.connections > 50);
    for (const socket of sockets) socket.destroy();
    await until(() => harness.api.stats.connections === 0);
  }
  await until(() => open() <= before);
  expect(await first(harness)).toBe(1);
});

test.each([HEALTH, "/no.such/Method", "/SpiffeWorkloadAPI/FetchX509SVID"])(
  "floods of %s are read more slowly: another caller is served meanwhile, and nothing is left in the end",
  async (method) => {
    await using harness = await serving();
    const flood = Array.from({ length: 20 }, () => raw(harness.path, method, 2_000).resume());
    expect(await first(harness)).toBe(1);
    await until(() => flood.every((socket) => socket.destroyed || socket.bytesRead > 0));
    for (const socket of flood) socket.destroy();
    await until(() => harness.api.stats.calls === 0);
  },
);

test("unfinished requests of one user are bounded together; that they end makes room", async () => {
  await using harness = await serving({ maxUnfinishedPerUid: 100_000 });
  using client = new RawClient(harness.path);
  const half = framed(Buffer.alloc(30_000), 0, 60_000);
  const ask = (data: Buffer): Promise<string> =>
    client.call("/SpiffeWorkloadAPI/ValidateJWTSVID", { headers: HEADER, data: [data], last: false });
  const held = [ask(half), ask(half)];
  await until(() => harness.api.stats.calls === 2);
  const refused = `${Status.RESOURCE_EXHAUSTED} too much of this user's requests is unfinished`;
  expect(await Promise.race([...held, ask(half), ask(half)])).toBe(refused);
  client[Symbol.dispose]();
  await until(() => harness.api.stats.calls === 0);
  using another = new RawClient(harness.path);
  const call = { headers: HEADER, data: [framed(Buffer.alloc(60_000))] };
  expect(await another.call("/SpiffeWorkloadAPI/ValidateJWTSVID", call)).toBe(
    `${Status.INVALID_ARGUMENT} request is no valid message`,
  );
});
