import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { DataStore } from "../../../../src/server/datastore/datastore.ts";
import { SqliteDataStore } from "../../../../src/server/datastore/sqlite/datastore.ts";
import { openDatabase } from "../../../../src/server/datastore/sqlite/open.ts";
import { bundle, entry, id, node, selectors, TD } from "../../../fakes/entries.ts";
import { FakeClock } from "../../../fakes/fake-clock.ts";
import { tempDataStore, tempFolder } from "../../../fakes/temp-datastore.ts";

const ALL = { size: 0, token: "" };
const SET = selectors("a:1", "b:2");

describe("no statement of these reads a whole table", () => {
  test.each<[string, (store: DataStore) => Promise<unknown>]>([
    ["get an entry", (store) => store.entries.get("e")],
    ["create an entry", (store) => store.entries.create(entry("new", { federatesWith: [TD] }))],
    ["update an entry", (store) => store.entries.update(entry("e", { hint: "x" }))],
    ["delete an entry", (store) => store.entries.delete("e")],
    ["entries by SPIFFE ID", (store) => store.entries.list({ spiffeId: id("/e") }, ALL)],
    ["entries by parent", (store) => store.entries.list({ parentId: id("/e") }, ALL)],
    ["entries by hint", (store) => store.entries.count({ hint: "x" })],
    ["entries with exact selectors", (store) => store.entries.count({ selectors: { set: SET, match: "exact" } })],
    ["entries by any selector", (store) => store.entries.count({ selectors: { set: SET, match: "any" } })],
    ["entries within selectors", (store) => store.entries.count({ selectors: { set: SET, match: "subset" } })],
    ["entries that federate", (store) => store.entries.count({ federatesWith: { set: [TD], match: "superset" } })],
    ["a page of all entries", (store) => store.entries.list({}, ALL)],
    ["expired entries", (store) => store.entries.prune(4_000_000_000, 10)],
    ["get a node", (store) => store.nodes.get(node("n").agentId)],
    ["put a node", (store) => store.nodes.put(node("n", { selectors: SET }))],
    ["update a node", (store) => store.nodes.update(node("n").agentId, { serial: "2", selectors: SET })],
    ["delete a node", (store) => store.nodes.delete(node("n").agentId)],
    ["nodes by selector", (store) => store.nodes.count({ selectors: { set: SET, match: "exact" } })],
    ["expired nodes", (store) => store.nodes.prune(4_100_000_000, true, 10)],
    ["get a bundle", (store) => store.bundles.get(TD)],
    ["append to a bundle", (store) => store.bundles.append(bundle(TD, "b"))],
    ["delete a bundle", (store) => store.bundles.delete(TD, "dissociate")],
    ["spend a token", (store) => store.joinTokens.consume("t")],
    ["prune tokens", (store) => store.joinTokens.prune(5)],
    ["follow events", (store) => store.events.since(1n, 10)],
    ["newest event", (store) => store.events.latest()],
    ["prune events", (store) => store.events.prune(5)],
  ])("%s", async (_name, work) => {
    const database = await openDatabase(`${await tempFolder()}/db`);
    const store = new SqliteDataStore(database, new FakeClock());
    onTestFinished(() => store.close());
    await store.bundles.set(bundle(TD, "a"));
    await store.nodes.put(node("n", { selectors: SET }));
    await store.entries.create(entry("e", { selectors: SET, hint: "h", expiresAt: 9, federatesWith: [TD] }));
    const statements = new Set<string>();
    for (const connection of [database.writer, database.reader]) {
      const prepare = connection.prepare.bind(connection);
      vi.spyOn(connection, "prepare").mockImplementation((sql) => {
        statements.add(sql);
        return prepare(sql);
      });
    }
    await work(store);
    vi.restoreAllMocks();
    expect(statements.size).toBeGreaterThan(0);
    for (const sql of statements) {
      const variables = Array.from({ length: sql.split("?").length - 1 }, () => 1);
      const plan = database.reader.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(variables);
      const steps = plan.map((row) => (row as { detail: string }).detail);
      // json_each lists what the query was given.
      const scans = steps.filter(
        (step) => step.startsWith("SCAN ") && !step.startsWith("SCAN json_each ") && !step.endsWith(" VALUES CLAUSE"),
      );
      expect(scans, sql).toEqual([]);
    }
  });
});

describe("20,000 entries", () => {
  test("are counted and found by parent and by selectors", { timeout: 60_000 }, async () => {
    const { store } = await tempDataStore();
    await store.transaction(async (tx) => {
      for (let index = 0; index < 20_000; index++) {
        const parentId = id(`/spire/agent/test/${index % 2_000}`);
        const set = selectors(`unix:uid:${index}`, "k8s:ns:common");
        await tx.entries.create(entry(`e${index}`, { parentId, selectors: set }));
      }
    });
    expect(await store.entries.count({ parentId: id("/spire/agent/test/77") })).toBe(10);
    const filter = { set: selectors("unix:uid:19999", "k8s:ns:common"), match: "exact" } as const;
    expect((await store.entries.list({ selectors: filter }, { size: 10, token: "" })).items).toHaveLength(1);
    expect(await store.entries.count({})).toBe(20_000);
  });
});
