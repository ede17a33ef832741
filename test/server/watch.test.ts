import { describe, expect, test } from "vitest";
import { WatchService } from "../../src/gen/holdfast/server/v1/watch.ts";
import { AgentService } from "../../src/gen/spire/api/server/agent/v1/agent.ts";
import { GrpcCode } from "../../src/lib/grpc-status.ts";
import { createCsr } from "../../src/pki/csr.ts";
import { generateKey } from "../../src/pki/keys.ts";
import { WatchStream } from "../../src/server/watch-stream.ts";
import { entry, id } from "../fakes/entries.ts";
import { call, failure, newAgent, startServer, subscribe, type TestServer, toSvid } from "./harness.ts";

const NEVER = new AbortController().signal;

async function watching(server: TestServer) {
  const agent = await newAgent(server);
  const open = () => subscribe(agent.client, WatchService.watchAuthorized, { agentVersion: "" });
  const stream = open();
  const first = await stream.next();
  if (first === undefined) throw new Error("no first message");
  const path = agent.agentId.slice("spiffe://example.org".length);
  return { ...agent, open, ...stream, first, message: { trustDomain: "example.org", path } };
}

describe("an agent that watches", () => {
  test("is told at once where it stands, then of what concerns it and of nothing else", async () => {
    const server = await startServer();
    const one = await watching(server);
    const two = await watching(server);
    expect(one.first).toMatchObject({ spreadMs: 0, heartbeat: false });

    await server.store.entries.create(entry("a", { parentId: one.agentId }));
    const created = await one.next();
    expect(created).toMatchObject({ bundleRevision: one.first.bundleRevision, spreadMs: 0, heartbeat: false });
    expect(created?.entriesRevision).toBeGreaterThan(one.first.entriesRevision);

    await server.store.entries.delete("a");
    expect((await one.next())?.entriesRevision).toBeGreaterThan(created?.entriesRevision ?? 0n);

    await server.store.entries.create(entry("b", { parentId: two.agentId }));
    expect((await two.next())?.entriesRevision).toBeGreaterThan(two.first.entriesRevision);
    expect(one.waiting()).toBe(0);
  });

  test("is told of a change of the bundle", async () => {
    const server = await startServer();
    const { next, first } = await watching(server);
    await server.ca.x509.prepare();
    const told = await next();
    expect(told?.bundleRevision).toBeGreaterThan(first.bundleRevision);
    expect(told?.entriesRevision).toBe(first.entriesRevision);
  });

  test("hears that the stream lives, and starts anew after three minutes", async () => {
    const server = await startServer();
    const { next, first, open } = await watching(server);
    await server.clock.advance(30_000);
    expect(await next()).toEqual({ ...first, heartbeat: true });
    let count = 0;
    const rest = (async () => {
      for (let message = await next(); message !== undefined; message = await next()) {
        expect(message).toEqual({ ...first, heartbeat: true });
        count++;
      }
    })();
    await server.clock.advance(150_000);
    await rest;
    expect(count).toBeGreaterThanOrEqual(3);
    expect(await open().next()).toEqual(first);
  });

  test("is cut off when it is banned", async () => {
    const server = await startServer();
    const { next, message } = await watching(server);
    await call(server.admin, AgentService.banAgent, { id: message });
    expect(await failure(next())).toMatchObject({ code: GrpcCode.PERMISSION_DENIED, reason: "AGENT_BANNED" });
  });

  test("is cut off when it is evicted", async () => {
    const server = await startServer();
    const { next, message } = await watching(server);
    await call(server.admin, AgentService.deleteAgent, { id: message });
    expect(await failure(next())).toMatchObject({ code: GrpcCode.PERMISSION_DENIED, reason: "AGENT_NOT_ATTESTED" });
  });

  test("is cut off when its SVID was renewed and the new one used", async () => {
    const server = await startServer();
    const { next, client, waiting } = await watching(server);
    const privateKey = await generateKey("ec-p256");
    const params = { csr: await createCsr({ privateKey }) };
    const { svid } = await call(client, AgentService.renewAgent, { params });
    // Until it is used, the old one is good.
    await call(client, AgentService.postStatus, { currentBundleSerial: 0n, agentVersion: "1" });
    expect(waiting()).toBe(0);
    const renewed = await server.connect(toSvid(svid, privateKey));
    await call(renewed, AgentService.postStatus, { currentBundleSerial: 0n, agentVersion: "1" });
    expect(await failure(next())).toMatchObject({ code: GrpcCode.PERMISSION_DENIED, reason: "AGENT_NOT_ACTIVE" });
  });

  test("many times keeps its newest streams", async () => {
    const server = await startServer();
    const { next, open, agentId } = await watching(server);
    const newer = [open(), open(), open(), open()];
    for (const stream of newer) await stream.next();
    expect(await next()).toBeUndefined();
    await server.store.entries.create(entry("a", { parentId: agentId }));
    for (const stream of newer) expect(await stream.next()).toMatchObject({ heartbeat: false });
  });

  test("together with many others is asked to wait a little", async () => {
    const server = await startServer();
    const agents = await Promise.all(Array.from({ length: 9 }, () => watching(server)));
    const streams = await Promise.all(
      agents
        .flatMap((agent) => [agent, ...Array.from({ length: 3 }, () => agent.open())])
        .map(async (stream) => {
          if (!("first" in stream)) await stream.next();
          return stream;
        }),
    );
    expect(streams).toHaveLength(36);
    await server.ca.x509.prepare();
    for (const stream of streams) expect(await stream.next()).toMatchObject({ spreadMs: 1_000 });
    // What concerns one is told without.
    await server.store.entries.create(entry("a", { parentId: agents[0]?.agentId ?? id("/x") }));
    expect(await agents[0]?.next()).toMatchObject({ spreadMs: 0 });
  });

  test("does not hold up a server that stops", async () => {
    const server = await startServer();
    const { next } = await watching(server);
    const ended = next();
    expect(await server.stop()).toBe("at once");
    expect(await ended).toBeUndefined();
  });

  test("misses nothing that happens while it is told", async () => {
    const server = await startServer();
    const { next, agentId, first } = await watching(server);
    for (let n = 0; n < 50; n++) await server.store.entries.create(entry(`e${n}`, { parentId: agentId }));
    await server.index.settled();
    const { entries } = server.index.revisions(agentId);
    let last = first;
    let messages = 0;
    while (last.entriesRevision < entries) {
      const message = await next();
      if (message === undefined) throw new Error("the stream ended");
      last = message;
      messages++;
    }
    expect(last.entriesRevision).toBe(entries);
    expect(messages).toBeLessThanOrEqual(50);
  });
});

test("only agents watch", async () => {
  const server = await startServer();
  for (const client of [server.admin, await server.connect()]) {
    const stream = subscribe(client, WatchService.watchAuthorized, { agentVersion: "" });
    expect((await failure(stream.next())).code).toBe(GrpcCode.PERMISSION_DENIED);
  }
});

describe("a stream's memory", () => {
  const never = () => () => {};

  test("holds one change, however many there were, and the widest spread", async () => {
    const stream = new WatchStream();
    stream.change(1_000);
    stream.change(0);
    stream.recheck();
    expect(await stream.next(never, NEVER)).toEqual({ event: "changed", spreadMs: 1_000 });
    const waiting = stream.next(never, NEVER);
    stream.change(0);
    expect(await waiting).toEqual({ event: "changed", spreadMs: 0 });
  });

  test("tells a look at the rights, a heartbeat and the end apart", async () => {
    const stream = new WatchStream();
    await stream.next(never, NEVER);
    stream.recheck();
    expect((await stream.next(never, NEVER)).event).toBe("recheck");
    const soon = (fire: () => void) => {
      setImmediate(fire);
      return () => {};
    };
    expect((await stream.next(soon, NEVER)).event).toBe("heartbeat");
    stream.change(5);
    stream.replace();
    expect((await stream.next(never, NEVER)).event).toBe("replaced");
  });

  test("lets go of who waits when the call is over", async () => {
    const stream = new WatchStream();
    await stream.next(never, NEVER);
    const controller = new AbortController();
    let disarmed = false;
    const waiting = stream.next(
      () => () => {
        disarmed = true;
      },
      controller.signal,
    );
    controller.abort(new Error("gone"));
    await expect(waiting).rejects.toThrow("gone");
    expect(disarmed).toBe(true);
  });
});
