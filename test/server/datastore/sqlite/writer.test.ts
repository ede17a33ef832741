import { describe, expect, onTestFinished, test, vi } from "vitest";
import { AgentError, publicError } from "../../../../src/lib/errors.ts";
import { SqliteDataStore } from "../../../../src/server/datastore/sqlite/datastore.ts";
import { openDatabase } from "../../../../src/server/datastore/sqlite/open.ts";
import { bundle, entry, node, TD } from "../../../fakes/entries.ts";
import { FakeClock } from "../../../fakes/fake-clock.ts";
import { tempDataStore, tempFolder } from "../../../fakes/temp-datastore.ts";

describe("transaction", () => {
  test("stores all of it or nothing, and reads its own writes", async () => {
    const { store } = await tempDataStore();
    const failed = store.transaction(async (tx) => {
      await tx.entries.create(entry("a"));
      await tx.bundles.append(bundle(TD, "x"));
      expect(await tx.entries.get("a")).toEqual(entry("a"));
      expect(await store.entries.get("a")).toBeUndefined();
      throw new Error("changed my mind");
    });
    await expect(failed).rejects.toThrow("changed my mind");
    expect(await store.entries.count({})).toBe(0);
    expect(await store.bundles.count()).toBe(0);
    expect(await store.events.latest()).toBe(0n);
    const value = await store.transaction(async (tx) => {
      await tx.entries.create(entry("a"));
      await tx.nodes.put(node("n"));
      return 7;
    });
    expect(value).toBe(7);
    expect(await store.entries.count({})).toBe(1);
  });

  test("a write that fails inside leaves the rest alone when its error is caught", async () => {
    const { store } = await tempDataStore();
    await store.entries.create(entry("taken"));
    await store.transaction(async (tx) => {
      const wrong = tx.entries.create(entry("taken", { spiffeId: entry("x").spiffeId }));
      const right = tx.entries.create(entry("right"));
      await expect(wrong).rejects.toMatchObject({ code: "ALREADY_EXISTS" });
      await right;
    });
    expect(await store.entries.get("right")).toEqual(entry("right"));
  });

  test("transactions and writes wait for each other", async () => {
    const { store } = await tempDataStore();
    const order: string[] = [];
    let release = (): void => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const slow = store.transaction(async (tx) => {
      await tx.entries.create(entry("slow"));
      await gate;
      order.push("slow");
    });
    const next = store.transaction(async (tx) => {
      order.push(`next sees ${(await tx.entries.get("slow")) !== undefined}`);
    });
    const single = store.entries.create(entry("single")).then(() => order.push("single"));
    expect(await store.entries.count({})).toBe(0);
    release();
    await Promise.all([slow, next, single]);
    expect(order).toEqual(["slow", "next sees true", "single"]);
  });

  test("nesting, writing around it and using it afterwards throw instead of waiting for ever", async () => {
    const { store } = await tempDataStore();
    const kept = await store.transaction(async (tx) => {
      await expect(store.transaction(async () => {})).rejects.toThrow("wait for itself");
      await expect(store.entries.create(entry("around"))).rejects.toThrow("wait for itself");
      expect(() => tx.transaction(async () => {})).toThrow("inside of a transaction");
      return tx;
    });
    await expect(kept.entries.create(entry("late"))).rejects.toThrow("over");
    await expect(kept.entries.get("late")).rejects.toThrow("over");
    expect(await store.entries.count({})).toBe(0);
  });

  test("an unawaited write is still part of it", async () => {
    const { store } = await tempDataStore();
    let late: Promise<unknown> = Promise.resolve();
    await store.transaction(async (tx) => {
      late = tx.entries.create(entry("late"));
    });
    await late;
    expect(await store.entries.count({})).toBe(1);
  });
});

describe("onChange", () => {
  test("is called after commits that recorded events, before the writer is told", async () => {
    const { store } = await tempDataStore();
    const calls: string[] = [];
    const stop = store.onChange(() => calls.push("changed"));
    await store.entries.create(entry("a")).then(() => calls.push("created"));
    await store.entries.create(entry("b", { spiffeId: entry("a").spiffeId }));
    await store.joinTokens.create("t", 1);
    await store.transaction(async (tx) => {
      await tx.entries.delete("a");
      await tx.entries.create(entry("c"));
    });
    await store.transaction(async (tx) => void (await tx.entries.get("c")));
    await expect(
      store.transaction(async (tx) => {
        await tx.entries.create(entry("d"));
        throw new Error("no");
      }),
    ).rejects.toThrow("no");
    expect(calls).toEqual(["changed", "created", "changed"]);
    stop();
    await store.entries.create(entry("e"));
    expect(calls).toHaveLength(3);
  });
});

describe("sharing a commit", () => {
  test("many writes at once are all stored, and one that fails takes none along", async () => {
    const { store } = await tempDataStore();
    let commits = 0;
    store.onChange(() => commits++);
    await store.entries.create(entry("e5", { spiffeId: entry("taken").spiffeId }));
    const results = await Promise.allSettled(
      Array.from({ length: 200 }, (_, index) => store.entries.create(entry(`e${index}`))),
    );
    expect(results.flatMap((result, index) => (result.status === "rejected" ? [index] : []))).toEqual([5]);
    expect(await store.entries.count({})).toBe(200);
    expect(commits).toBeLessThan(10);
  });

  /** A store that counts its commits, and whose next one may be made to fail. */
  async function countingStore() {
    const database = await openDatabase(`${await tempFolder()}/shared.sqlite3`);
    const store = new SqliteDataStore(database, new FakeClock());
    onTestFinished(() => store.close());
    const state = { commits: 0, failing: false };
    const exec = database.writer.exec.bind(database.writer);
    vi.spyOn(database.writer, "exec").mockImplementation((sql) => {
      if (sql === "COMMIT") {
        if (state.failing) throw new AgentError("UNAVAILABLE", "disk on fire");
        state.commits++;
      }
      exec(sql);
    });
    return { store, state };
  }

  test("transactions and writes at once share one; each sees those before it, and a failed one leaves nothing", async () => {
    const { store, state } = await countingStore();
    let changes = 0;
    store.onChange(() => changes++);
    const results = await Promise.allSettled([
      ...Array.from({ length: 20 }, (_, index) =>
        store.transaction(async (tx) => {
          await tx.entries.create(entry(`t${index}-a`));
          // Nothing is committed yet, for any of them.
          expect(await store.entries.count({})).toBe(0);
          if (index % 5 === 2) throw new Error("changed my mind");
          await tx.entries.create(entry(`t${index}-b`));
          return await tx.entries.count({});
        }),
      ),
      store.entries.create(entry("single")),
    ]);
    expect(state.commits).toBe(1);
    expect(changes).toBe(1);
    const failed = results.flatMap((result, index) => (result.status === "rejected" ? [index] : []));
    expect(failed).toEqual([2, 7, 12, 17]);
    expect(results.slice(0, 4)).toMatchObject([{ value: 2 }, { value: 4 }, { status: "rejected" }, { value: 6 }]);
    expect(await store.entries.count({})).toBe(33);
    expect(await store.entries.get("t7-a")).toBeUndefined();
    expect(await store.events.latest()).toBe(33n);
  });

  test("one refused because of another is told that the database failed, when the other is not stored", async () => {
    const { store, state } = await countingStore();
    const spend = (token: string) =>
      store.transaction(async (tx) => {
        if ((await tx.joinTokens.consume(token)) === undefined) throw publicError("PERMISSION_DENIED", "spent");
      });
    await store.joinTokens.create("t", 1);
    state.failing = true;
    const both = await Promise.allSettled([spend("t"), spend("t")]);
    const unavailable = { status: "rejected", reason: { code: "UNAVAILABLE" } };
    expect(both).toMatchObject([unavailable, unavailable]);
    state.failing = false;
    const again = await Promise.allSettled([spend("t"), spend("t")]);
    const denied = { status: "rejected", reason: { code: "PERMISSION_DENIED" } };
    expect(again).toMatchObject([{ status: "fulfilled" }, denied]);
  });
});

describe("a full disk", () => {
  /** The smallest possible: no page may be added any more. */
  async function fullStore() {
    const database = await openDatabase(`${await tempFolder()}/full.sqlite3`);
    const store = new SqliteDataStore(database, new FakeClock());
    onTestFinished(() => store.close());
    await store.entries.create(entry("before"));
    const limit = (pages: number): void => {
      database.writer.scalar(`PRAGMA max_page_count = ${pages}`);
    };
    const pages = Number(database.writer.scalar("PRAGMA page_count"));
    return { store, database, full: () => limit(pages), roomy: () => limit(pages + 10_000) };
  }
  const long = "x".repeat(900);

  test("writes are refused as UNAVAILABLE naming the file, half of nothing is stored, and later ones work", async () => {
    const { store, database, full, roomy } = await fullStore();
    full();
    const results = await Promise.allSettled(
      Array.from({ length: 100 }, (_, index) => store.entries.create(entry(`e${index}`, { hint: long }))),
    );
    const refused = results.filter((result) => result.status === "rejected");
    expect(refused.length).toBeGreaterThan(0);
    for (const { reason } of refused) {
      expect(reason).toMatchObject({ code: "UNAVAILABLE", publicMessage: "datastore failed: the disk is full" });
      expect(String(reason)).toContain(database.writer.path);
    }
    const stored = results.filter((result) => result.status === "fulfilled").length;
    expect(await store.entries.count({})).toBe(stored + 1);
    expect(await store.events.latest()).toBe(BigInt(stored + 1));
    roomy();
    await store.entries.create(entry("after", { hint: long }));
    expect(database.reader.scalar("PRAGMA integrity_check")).toBe("ok");
  });

  test("a transaction that meets it stores nothing", async () => {
    const { store, full, roomy } = await fullStore();
    full();
    const met = store.transaction(async (tx) => {
      for (let index = 0; index < 100; index++) {
        await tx.entries.create(entry(`e${index}`, { hint: long }));
      }
    });
    await expect(met).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(await store.entries.count({})).toBe(1);
    roomy();
    await store.entries.create(entry("after"));
    expect(await store.entries.count({})).toBe(2);
  });

  test("a transaction that SQLite itself gave up is not carried on outside of one", async () => {
    const { store, database } = await fullStore();
    const lost = store.transaction(async (tx) => {
      await tx.entries.create(entry("a"));
      // What SQLite does by itself on some errors.
      database.writer.exec("ROLLBACK");
      await tx.entries.create(entry("b")).catch(() => {});
      await expect(tx.entries.get("a")).rejects.toMatchObject({ code: "UNAVAILABLE" });
    });
    await expect(lost).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(await store.entries.count({})).toBe(1);
    await store.entries.create(entry("after"));
    expect(await store.entries.count({})).toBe(2);
  });
});

describe("a unit that cannot be undone alone", () => {
  test("takes everything around it along", async () => {
    const database = await openDatabase(`${await tempFolder()}/odd.sqlite3`);
    const store = new SqliteDataStore(database, new FakeClock());
    onTestFinished(() => store.close());
    const exec = database.writer.exec.bind(database.writer);
    const spy = vi.spyOn(database.writer, "exec").mockImplementation((sql) => {
      if (sql.startsWith("ROLLBACK TO")) throw new Error("disk on fire");
      exec(sql);
    });
    await expect(
      store.transaction(async (tx) => {
        await tx.entries.create(entry("a"));
        await tx.entries.update(entry("missing")).catch(() => {});
        await tx.entries.create(entry("b")).catch(() => {});
      }),
    ).rejects.toMatchObject({ code: "UNAVAILABLE" });
    const mixed = await Promise.allSettled([
      store.entries.create(entry("c")),
      store.entries.update(entry("missing")),
      store.entries.create(entry("d")),
    ]);
    expect(mixed.map((result) => result.status)).toEqual(["rejected", "rejected", "fulfilled"]);
    spy.mockRestore();
    const page = await store.entries.list({}, { size: 0, token: "" });
    expect(page.items.map((item) => item.entryId)).toEqual(["d"]);
  });
});

describe("another process", () => {
  test("holds a lock: UNAVAILABLE, and later writes work", async () => {
    const database = await openDatabase(`${await tempFolder()}/locked.sqlite3`);
    const store = new SqliteDataStore(database, new FakeClock());
    onTestFinished(() => store.close());
    const other = await openDatabase(database.writer.path);
    onTestFinished(() => {
      other.reader.close();
      other.writer.close();
    });
    other.writer.exec("BEGIN IMMEDIATE");
    const results = await Promise.allSettled(["a", "b"].map((name) => store.entries.create(entry(name))));
    for (const result of results) {
      expect(result).toMatchObject({ status: "rejected", reason: { code: "UNAVAILABLE" } });
    }
    expect(await store.entries.count({})).toBe(0);
    other.writer.exec("ROLLBACK");
    expect((await store.entries.create(entry("a"))).created).toBe(true);
  });
});

describe("close", () => {
  test("waits for accepted writes and refuses later ones", async () => {
    const { store } = await tempDataStore();
    const last = store.entries.create(entry("last"));
    const closed = store.close();
    expect((await last).created).toBe(true);
    await closed;
    await expect(store.entries.create(entry("late"))).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });
});
