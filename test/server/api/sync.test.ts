import { describe, expect, test } from "vitest";
import { AgentService } from "../../../src/gen/spire/api/server/agent/v1/agent.ts";
import { EntryService, type SyncAuthorizedEntriesResponse } from "../../../src/gen/spire/api/server/entry/v1/entry.ts";
import { EntryMask } from "../../../src/gen/spire/api/types/entry.ts";
import { GrpcCode } from "../../../src/lib/grpc-status.ts";
import { entry, id } from "../../fakes/entries.ts";
import { call, converse, failure, newAgent, startServer, type TestServer } from "../harness.ts";

/** What agents ask for. */
const MASK = EntryMask.fromPartial({
  spiffeId: true,
  selectors: true,
  federatesWith: true,
  admin: true,
  downstream: true,
  revisionNumber: true,
  storeSvid: true,
  hint: true,
  createdAt: true,
  additionalAttributes: true,
});

async function setup(count: number) {
  const server = await startServer();
  const agent = await newAgent(server);
  await addEntries(server, agent.agentId, 0, count);
  await server.index.settled();
  const sync = () => converse(agent.client, EntryService.syncAuthorizedEntries);
  return { server, ...agent, sync };
}

async function addEntries(
  server: TestServer,
  parentId: ReturnType<typeof id>,
  from: number,
  to: number,
): Promise<void> {
  const numbers = Array.from({ length: to - from }, (_, index) => from + index);
  await Promise.all(
    numbers.map((n) => server.store.entries.create(entry(name(n), { parentId, x509SvidTtl: 60, dnsNames: ["a"] }))),
  );
}

function name(n: number): string {
  return `e${String(n).padStart(5, "0")}`;
}

/** Reads pages up to the last. */
async function pages(next: () => Promise<SyncAuthorizedEntriesResponse | undefined>) {
  const all: SyncAuthorizedEntriesResponse[] = [];
  for (;;) {
    const page = await next();
    if (page === undefined) throw new Error("the stream ended");
    all.push(page);
    if (!page.more) return all;
  }
}

describe("a sync", () => {
  test.each([0, 1, 500])("of %i entries is one message, and over", async (count) => {
    const { sync } = await setup(count);
    const stream = sync();
    stream.send({ outputMask: MASK, ids: [] });
    const page = await stream.next();
    expect(page).toMatchObject({ entryRevisions: [], more: false });
    expect(page?.entries.map((each) => each.id).sort()).toEqual(Array.from({ length: count }, (_, n) => name(n)));
    expect(await stream.next()).toBeUndefined();
  });

  test("of more entries tells revisions, then what is asked for", async () => {
    const { sync } = await setup(1_200);
    const stream = sync();
    stream.send({ outputMask: MASK, ids: [] });
    const revisions = await pages(stream.next);
    expect(revisions.map((page) => page.entryRevisions.length)).toEqual([500, 500, 200]);
    expect(revisions.every((page) => page.entries.length === 0)).toBe(true);
    const told = revisions.flatMap((page) => page.entryRevisions);
    expect(new Set(told.map((each) => each.id)).size).toBe(1_200);
    expect(told[0]).toMatchObject({ revisionNumber: 0n, createdAt: 1_700_000_000n });

    // Some: one page, without those that are nobody's or somebody else's, each once.
    stream.send({ outputMask: undefined, ids: [name(5), "nobody", name(3), name(5)] });
    const some = await pages(stream.next);
    expect(some).toHaveLength(1);
    expect(some[0]?.entries.map((each) => each.id).sort()).toEqual([name(3), name(5)]);
    // The mask of the first message holds for all.
    expect(some[0]?.entries[0]).toMatchObject({
      parentId: undefined,
      x509SvidTtl: 0,
      dnsNames: [],
      createdAt: 1_700_000_000n,
    });

    // All: in pages.
    stream.send({ outputMask: undefined, ids: told.map((each) => each.id) });
    const all = await pages(stream.next);
    expect(all.map((page) => page.entries.length)).toEqual([500, 500, 200]);

    // Nothing known: an answer all the same.
    stream.send({ outputMask: undefined, ids: ["nobody"] });
    expect(await stream.next()).toMatchObject({ entries: [], entryRevisions: [], more: false });
    stream.end();
    expect(await stream.next()).toBeUndefined();
  });

  test("of ten thousand entries loses none to an agent that reads slowly", async () => {
    const { sync } = await setup(10_000);
    const stream = sync();
    stream.send({ outputMask: undefined, ids: [] });
    const revisions = await pages(stream.next);
    stream.send({
      outputMask: undefined,
      ids: revisions.flatMap((page) => page.entryRevisions).map((each) => each.id),
    });
    // The answer waits in the channel, and the server for us, before we read.
    await new Promise((resolve) => setTimeout(resolve, 100));
    const all = await pages(stream.next);
    expect(all.flatMap((page) => page.entries)).toHaveLength(10_000);
    expect(all[0]?.entries[0]).toMatchObject({ x509SvidTtl: 60, dnsNames: ["a"] });
    stream.cancel();
  });

  test("is refused without what it needs", async () => {
    const { sync } = await setup(1);
    const ids = sync();
    ids.send({ outputMask: MASK, ids: [name(0)] });
    expect(await failure(ids.next())).toMatchObject({
      code: GrpcCode.INVALID_ARGUMENT,
      details: "specifying IDs on initial request is not supported",
    });
    const masked = sync();
    masked.send({ outputMask: EntryMask.fromPartial({ spiffeId: true }), ids: [] });
    expect(await failure(masked.next())).toMatchObject({
      code: GrpcCode.INVALID_ARGUMENT,
      details: "revision number cannot be masked",
    });
  });

  test("without any question ends well", async () => {
    const { sync } = await setup(1);
    const stream = sync();
    stream.end();
    expect(await stream.next()).toBeUndefined();
  });

  test("is authorized anew with each question", async () => {
    const { sync, server, agentId } = await setup(501);
    const stream = sync();
    stream.send({ outputMask: MASK, ids: [] });
    await pages(stream.next);
    await call(server.admin, AgentService.banAgent, {
      id: { trustDomain: "example.org", path: agentId.slice("spiffe://example.org".length) },
    });
    stream.send({ outputMask: undefined, ids: [name(0)] });
    expect(await failure(stream.next())).toMatchObject({ code: GrpcCode.PERMISSION_DENIED, reason: "AGENT_BANNED" });
  });

  test("tells what changed since the last one", async () => {
    const { sync, server, agentId } = await setup(501);
    const revisionsOf = async () => {
      const stream = sync();
      stream.send({ outputMask: MASK, ids: [] });
      const all = (await pages(stream.next)).flatMap((page) => page.entryRevisions);
      stream.end();
      return new Map(all.map((each) => [each.id, each.revisionNumber]));
    };
    await revisionsOf();
    await server.store.entries.update(entry(name(7), { parentId: agentId, hint: "new" }));
    await server.store.entries.delete(name(8));
    await addEntries(server, agentId, 501, 503);
    const after = await revisionsOf();
    expect(after.get(name(7))).toBe(1n);
    expect(after.has(name(8))).toBe(false);
    expect(after.size).toBe(502);
    const stream = sync();
    stream.send({ outputMask: MASK, ids: [] });
    await pages(stream.next);
    stream.send({ outputMask: undefined, ids: [name(7)] });
    expect((await pages(stream.next))[0]?.entries[0]).toMatchObject({ hint: "new", revisionNumber: 1n });
  });
});

test("the older call gives all entries at once, under its mask", async () => {
  const { client, server } = await setup(600);
  await server.store.entries.create(entry("other", { parentId: id("/spire/agent/test/other") }));
  await server.index.settled();
  const { entries } = await call(client, EntryService.getAuthorizedEntries, { outputMask: MASK });
  expect(entries.map((each) => each.id).sort()).toEqual(Array.from({ length: 600 }, (_, n) => name(n)));
  expect(entries[0]).toMatchObject({ parentId: undefined, spiffeId: { trustDomain: "example.org" } });
  const whole = await call(client, EntryService.getAuthorizedEntries, { outputMask: undefined });
  expect(whole.entries[0]?.parentId).toBeDefined();
});

test("the operator, strangers and administrators have no authorized entries", async () => {
  const server = await startServer();
  for (const client of [server.admin, await server.connect()]) {
    const refused = await failure(call(client, EntryService.getAuthorizedEntries, { outputMask: undefined }));
    expect(refused.code).toBe(GrpcCode.PERMISSION_DENIED);
  }
});
