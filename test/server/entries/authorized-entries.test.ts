import { describe, expect, onTestFinished, test } from "vitest";
import { type Logger, silentLogger } from "../../../src/lib/log.ts";
import type { DataStore } from "../../../src/server/datastore/datastore.ts";
import { openSqliteDataStore } from "../../../src/server/datastore/sqlite/datastore.ts";
import { type AffectedChange, AuthorizedEntries } from "../../../src/server/entries/authorized-entries.ts";
import { bundle, entry, id, node, selectors, TD } from "../../fakes/entries.ts";
import type { FakeClock } from "../../fakes/fake-clock.ts";
import { tempDataStore } from "../../fakes/temp-datastore.ts";

const ONE = node("one").agentId;

/** An index over `store`, loaded, and running until the test ends when asked to. */
async function index(
  store: ConstructorParameters<typeof AuthorizedEntries>[0]["store"],
  clock: FakeClock,
  options: { readonly run?: boolean; readonly log?: Logger } = {},
) {
  const entries = new AuthorizedEntries({ store, clock, log: options.log ?? silentLogger, trustDomain: TD });
  const changes: AffectedChange[] = [];
  entries.onAffected((change) => changes.push(change));
  await entries.load();
  changes.length = 0;
  const controller = new AbortController();
  const running = options.run === true ? entries.run(controller.signal) : Promise.resolve();
  const stop = async (): Promise<void> => {
    controller.abort();
    await running;
  };
  onTestFinished(stop);
  if (options.run === true) await clock.parked(1);
  const ids = (): string =>
    entries
      .authorizedFor(ONE)
      .map((item) => item.entryId)
      .sort()
      .join(" ");
  return { entries, changes, ids, stop };
}

describe("this process's own changes", () => {
  test("are in the answers once settled, and told to whom they concern", async () => {
    const { store, clock } = await tempDataStore();
    await store.entries.create(entry("before"));
    const { entries, changes, ids } = await index(store, clock);
    expect(ids()).toBe("before");
    await store.entries.create(entry("new"));
    await entries.settled();
    expect(ids()).toBe("before new");
    expect(changes).toEqual([{ kind: "entries", agents: new Set([ONE]) }]);
    expect(entries.isAuthorized(ONE, "new")).toBe(true);
    expect(entries.authorizedEntry(ONE, "new")).toEqual(entry("new"));
    expect(entries.authorizedEntry(ONE, "none")).toBeUndefined();
    expect(entries.authorizedFor(ONE)).toBe(entries.authorizedFor(ONE));
    await store.entries.update(entry("new", { parentId: id("/elsewhere") }));
    await store.entries.delete("before");
    await entries.settled();
    expect(ids()).toBe("");
    expect(entries.size).toBe(1);
  });

  test("a node that just attested has its aliases at once", async () => {
    const { store, clock } = await tempDataStore();
    await store.entries.create(entry("alias", { parentId: id("/spire/server"), selectors: selectors("s:1") }));
    await store.entries.create(entry("w", { parentId: id("/alias") }));
    const { entries, ids } = await index(store, clock);
    expect(ids()).toBe("");
    await store.nodes.put(node("one", { selectors: selectors("s:1", "s:2") }));
    await entries.settled();
    expect(ids()).toBe("w");
    await store.nodes.delete(ONE);
    await entries.settled();
    expect(ids()).toBe("");
  });

  test("a bundle raises the revision of all", async () => {
    const { store, clock } = await tempDataStore();
    const { entries, changes } = await index(store, clock);
    const before = entries.revisions(ONE);
    await store.bundles.append(bundle(TD, "a"));
    await entries.settled();
    expect(changes).toEqual([{ kind: "bundles", agents: "all" }]);
    expect(entries.revisions(ONE).bundles).toBeGreaterThan(before.bundles);
    expect(entries.revisions(ONE).entries).toBe(before.entries);
  });

  test("admin and downstream by SPIFFE ID, until they expire", async () => {
    const { store, clock } = await tempDataStore();
    const { entries } = await index(store, clock);
    const soon = clock.now() / 1000 + 5;
    await store.entries.create(entry("plain"));
    await store.entries.create(entry("boss", { admin: true }));
    await store.entries.create(entry("sub", { downstream: true, expiresAt: soon }));
    await entries.settled();
    const rights = (path: string) => [entries.hasAdminEntry(id(path)), entries.hasDownstreamEntry(id(path))];
    expect([rights("/plain"), rights("/boss"), rights("/sub")]).toEqual([
      [false, false],
      [true, false],
      [false, true],
    ]);
    await clock.advance(5_000);
    expect(rights("/sub")).toEqual([false, false]);
    await store.entries.update(entry("boss"));
    await entries.settled();
    expect(rights("/boss")).toEqual([false, false]);
  });
});

describe("changes by others", () => {
  test("are found at the next poll", async () => {
    const { store, clock, path } = await tempDataStore();
    const other = await openSqliteDataStore({ path, clock });
    onTestFinished(() => other.close());
    const { ids } = await index(store, clock, { run: true });
    await other.entries.create(entry("theirs"));
    expect(ids()).toBe("");
    await clock.advance(5_000);
    expect(ids()).toBe("theirs");
  });

  test("are found by comparison when the log of changes was cut", async () => {
    const { store, clock, path } = await tempDataStore();
    await store.entries.create(entry("gone"));
    await store.entries.create(entry("kept"));
    await store.nodes.put(node("two"));
    const { ids, changes } = await index(store, clock, { run: true });
    const other = await openSqliteDataStore({ path, clock });
    onTestFinished(() => other.close());
    await other.entries.delete("gone");
    await other.entries.create(entry("theirs"));
    await other.nodes.delete(node("two").agentId);
    await other.events.prune(clock.now() / 1000 + 10);
    await clock.advance(5_000);
    expect(ids()).toBe("kept theirs");
    expect(changes).toContainEqual({ kind: "entries", agents: new Set([node("two").agentId, ONE]) });
    expect(changes.every((change) => change.kind === "entries" && change.agents !== "all")).toBe(true);
  });
});

describe("time", () => {
  test("an entry that expires is told the moment it does", async () => {
    const { store, clock } = await tempDataStore();
    await store.entries.create(entry("short", { expiresAt: clock.now() / 1000 + 2 }));
    const { ids, changes } = await index(store, clock, { run: true });
    await clock.advance(1_999);
    expect(ids()).toBe("short");
    expect(changes).toEqual([]);
    await clock.advance(1);
    expect(ids()).toBe("");
    expect(changes).toEqual([{ kind: "entries", agents: new Set([ONE]) }]);
  });

  test("everything is compared once a day", async () => {
    const { store, clock } = await tempDataStore();
    await store.entries.create(entry("a"));
    let lists = 0;
    const counted: DataStore["entries"] = Object.assign(Object.create(store.entries) as DataStore["entries"], {
      list: (...args: Parameters<DataStore["entries"]["list"]>) => {
        lists++;
        return store.entries.list(...args);
      },
      getMany: (ids: readonly string[]) => store.entries.getMany(ids),
    });
    const day = 24 * 60 * 60 * 1_000;
    const watched = { ...pick(store), entries: counted };
    const entries = new AuthorizedEntries({
      store: watched,
      clock,
      log: silentLogger,
      trustDomain: TD,
      pollIntervalMs: day / 4,
    });
    await entries.load();
    const controller = new AbortController();
    const running = entries.run(controller.signal);
    await clock.parked(1);
    expect(lists).toBe(1);
    await clock.advance(day);
    expect(lists).toBe(2);
    controller.abort();
    await running;
  });
});

describe("a datastore that fails", () => {
  test("leaves the answers as they were, and is caught up with later", async () => {
    const { store, clock } = await tempDataStore();
    await store.entries.create(entry("a"));
    let broken = false;
    const warnings: string[] = [];
    const log: Logger = { ...silentLogger, warn: (message) => warnings.push(message) };
    const events: DataStore["events"] = Object.assign(Object.create(store.events) as DataStore["events"], {
      since: (last: bigint, limit: number) =>
        broken ? Promise.reject(new Error("disk on fire")) : store.events.since(last, limit),
      latest: () => store.events.latest(),
    });
    const { ids, entries } = await index({ ...pick(store), events }, clock, { run: true, log });
    broken = true;
    await store.entries.create(entry("b"));
    await entries.settled();
    expect(ids()).toBe("a");
    expect(warnings).toHaveLength(1);
    broken = false;
    await clock.advance(5_000);
    expect(ids()).toBe("a b");
  });

  test("fails the first load", async () => {
    const { store, clock } = await tempDataStore();
    await store.close();
    await expect(index(store, clock)).rejects.toThrow();
  });
});

describe("the end of run", () => {
  test("stops following", async () => {
    const { store, clock } = await tempDataStore();
    const { ids, stop } = await index(store, clock, { run: true });
    await stop();
    await store.entries.create(entry("late"));
    expect(ids()).toBe("");
    expect(clock.sleepers).toBe(0);
  });
});

describe("20,000 entries", () => {
  test("load in slices, and a change of one costs no more than it must", { timeout: 60_000 }, async () => {
    const { store, clock } = await tempDataStore();
    await store.transaction(async (tx) => {
      await tx.entries.create(entry("alias", { parentId: id("/spire/server"), selectors: selectors("s:all") }));
      for (let at = 0; at < 20_000; at++) {
        const parentId = at < 5_000 ? id("/alias") : node(String(at % 500)).agentId;
        await tx.entries.create(entry(`e${at}`, { parentId, selectors: selectors(`unix:uid:${at % 1_000}`) }));
      }
    });
    await store.nodes.put(node("one", { selectors: selectors("s:all") }));
    let turns = 0;
    const beat = setInterval(() => turns++, 0);
    const { entries, changes } = await index(store, clock);
    clearInterval(beat);
    expect(turns).toBeGreaterThan(10);
    expect(entries.authorizedFor(ONE)).toHaveLength(5_000);
    expect(entries.authorizedFor(node("7").agentId)).toHaveLength(30);
    const kept = entries.authorizedFor(ONE);
    await store.entries.delete("e5007");
    await entries.settled();
    expect(changes).toEqual([{ kind: "entries", agents: new Set([node("7").agentId]) }]);
    expect(entries.authorizedFor(node("7").agentId)).toHaveLength(29);
    expect(entries.authorizedFor(ONE)).toBe(kept);
  });
});

/** The parts that the index follows. */
function pick(store: DataStore): Pick<DataStore, "entries" | "nodes" | "events" | "onChange"> {
  return {
    entries: store.entries,
    nodes: store.nodes,
    events: store.events,
    onChange: (listener) => store.onChange(listener),
  };
}
