import { createHash } from "node:crypto";
import { chmod, copyFile, mkdir, open, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, onTestFinished, test } from "vitest";
import { openSqliteDataStore } from "../../../../src/server/datastore/sqlite/datastore.ts";
import { APPLICATION_ID, MIGRATIONS } from "../../../../src/server/datastore/sqlite/migrations.ts";
import { openDatabase } from "../../../../src/server/datastore/sqlite/open.ts";
import { entry } from "../../../fakes/entries.ts";
import { FakeClock } from "../../../fakes/fake-clock.ts";
import { tempFolder } from "../../../fakes/temp-datastore.ts";

const clock = new FakeClock();

/** A database with some hundred entries, closed. */
async function filled(): Promise<string> {
  const path = join(await tempFolder(), "datastore.sqlite3");
  const store = await openSqliteDataStore({ path, clock });
  await store.transaction(async (tx) => {
    for (let index = 0; index < 300; index++) await tx.entries.create(entry(`e${index}`));
  });
  await store.close();
  return path;
}

async function digest(path: string): Promise<string> {
  return createHash("sha256")
    .update(await readFile(path))
    .digest("hex");
}

/** Expects a refusal that names the file and changes nothing of it. */
async function refused(path: string, code: string, words: string): Promise<void> {
  const before = await digest(path);
  const error: unknown = await openSqliteDataStore({ path, clock }).then(
    (store) => store.close(),
    (reason: unknown) => reason,
  );
  expect(error).toMatchObject({ code });
  expect(String(error)).toContain(path);
  expect(String(error)).toContain(words);
  expect(await digest(path)).toBe(before);
}

describe("a new database", () => {
  test("is private, whole, and leaves no draft", async () => {
    const folder = await tempFolder();
    const path = join(folder, "datastore.sqlite3");
    await writeFile(`${path}.new`, "a draft that a crash left");
    const store = await openSqliteDataStore({ path, clock });
    await store.entries.create(entry("a"));
    for (const name of await readdir(folder)) {
      expect((await stat(join(folder, name))).mode & 0o777, name).toBe(0o600);
    }
    expect((await readdir(folder)).sort()).toEqual(
      ["datastore.sqlite3", "datastore.sqlite3-shm", "datastore.sqlite3-wal"].sort(),
    );
    await store.close();
    expect(await readdir(folder)).toEqual(["datastore.sqlite3"]);
  });

  test("keeps what was written across a restart, in WAL and with full durability", async () => {
    const path = await filled();
    await chmod(path, 0o644);
    const { writer, reader } = await openDatabase(path);
    onTestFinished(() => {
      reader.close();
      writer.close();
    });
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(writer.scalar("SELECT count(*) FROM entries")).toBe(300);
    expect(writer.scalar("PRAGMA journal_mode")).toBe("wal");
    expect(writer.scalar("PRAGMA synchronous")).toBe(2);
    expect(writer.scalar("PRAGMA foreign_keys")).toBe(1);
    expect(writer.scalar("PRAGMA user_version")).toBe(MIGRATIONS.length);
    expect(() => reader.exec("DELETE FROM entries")).toThrow();
  });

  test("a missing folder, a folder in its place and an unusable folder are named", async () => {
    const folder = await tempFolder();
    await expect(openSqliteDataStore({ path: join(folder, "no", "db"), clock })).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining(join(folder, "no")),
    });
    await mkdir(join(folder, "db"));
    await expect(openSqliteDataStore({ path: join(folder, "db"), clock })).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining("not a regular file"),
    });
    await writeFile(join(folder, "file"), "");
    await expect(openSqliteDataStore({ path: join(folder, "file", "db"), clock })).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
    });
  });
});

describe(":memory:", () => {
  test("is a database of its own, gone when closed", async () => {
    const store = await openSqliteDataStore({ path: ":memory:", clock });
    const folder = dirname(store.name.replace("SQLite database ", ""));
    const second = await openSqliteDataStore({ path: ":memory:", clock });
    await store.entries.create(entry("a"));
    expect(await store.entries.count({})).toBe(1);
    expect(await second.entries.count({})).toBe(0);
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    await Promise.all([store.close(), second.close()]);
    await expect(stat(folder)).rejects.toMatchObject({ code: "ENOENT" });
  });
});

describe("what is not opened", () => {
  test("an empty file", async () => {
    const path = join(await tempFolder(), "db");
    await writeFile(path, "");
    await refused(path, "DATA_LOSS", "it is empty");
  });

  test("no database at all", async () => {
    const path = join(await tempFolder(), "db");
    await writeFile(path, "trust_domain = example.org\n".repeat(300));
    await refused(path, "DATA_LOSS", "not a SQLite database");
  });

  test("a cut one", async () => {
    const path = await filled();
    await truncate(path, 20_000);
    await refused(path, "DATA_LOSS", "restore a backup");
  });

  test.each([100, 4_096 * 3, 4_096 * 7])("one overwritten from byte %d on", async (offset) => {
    const path = await filled();
    await using file = await open(path, "r+");
    await file.write(Buffer.alloc(2_000, 0xa5), 0, 2_000, offset);
    await refused(path, "DATA_LOSS", "restore a backup");
  });

  test("one of a newer schema", async () => {
    const path = await filled();
    const raw = new DatabaseSync(path);
    raw.exec(`PRAGMA user_version = ${MIGRATIONS.length + 1}`);
    raw.close();
    await refused(path, "DATA_LOSS", `schema version ${MIGRATIONS.length + 1}`);
  });

  test("another program's, and SPIRE's by name", async () => {
    const path = join(await tempFolder(), "db");
    const raw = new DatabaseSync(path);
    raw.exec("CREATE TABLE t (x)");
    raw.close();
    await refused(path, "DATA_LOSS", "another program's database");
    const spire = new DatabaseSync(path);
    spire.exec("CREATE TABLE registered_entries (id)");
    spire.close();
    await refused(path, "DATA_LOSS", "SPIRE");
  });

  test("a write-ahead log whose database is gone", async () => {
    const path = join(await tempFolder(), "db");
    await writeFile(`${path}-wal`, "pages");
    await expect(openSqliteDataStore({ path, clock })).rejects.toMatchObject({
      code: "DATA_LOSS",
      message: expect.stringContaining(`${path}-wal`),
    });
    expect(await readdir(join(path, ".."))).toEqual(["db-wal"]);
  });
});

describe("migrations", () => {
  const ADD = "ALTER TABLE entries ADD COLUMN extra TEXT NOT NULL DEFAULT 'new'";

  test("an older schema is brought up to date with its rows", async () => {
    const path = await filled();
    const { writer, reader } = await openDatabase(path, [...MIGRATIONS, ADD]);
    onTestFinished(() => {
      reader.close();
      writer.close();
    });
    expect(writer.scalar("SELECT count(*) FROM entries WHERE extra = 'new'")).toBe(300);
    expect(writer.scalar("PRAGMA user_version")).toBe(MIGRATIONS.length + 1);
    expect(writer.scalar("PRAGMA application_id")).toBe(APPLICATION_ID);
  });

  test("a failing one changes nothing", async () => {
    const path = await filled();
    await expect(openDatabase(path, [...MIGRATIONS, `${ADD}; INSERT INTO nowhere VALUES (1)`])).rejects.toThrow();
    const store = await openSqliteDataStore({ path, clock });
    expect(await store.entries.count({})).toBe(300);
    await store.close();
  });
});

describe("a backup", () => {
  test("taken by VACUUM INTO while the server writes is a database to start from", async () => {
    const path = await filled();
    const store = await openSqliteDataStore({ path, clock });
    const backup = `${path}.backup`;
    const operator = new DatabaseSync(path, { readOnly: true });
    const writes = Array.from({ length: 50 }, (_, index) => store.entries.create(entry(`more${index}`)));
    await writes[0];
    operator.prepare("VACUUM INTO ?").run(backup);
    operator.close();
    await Promise.all(writes);
    await store.close();
    await rm(path);
    await copyFile(backup, path);
    const restored = await openSqliteDataStore({ path, clock });
    onTestFinished(() => restored.close());
    expect(await restored.entries.count({})).toBeGreaterThanOrEqual(301);
    expect(await restored.entries.get("more0")).toEqual(entry("more0"));
    await restored.entries.create(entry("after"));
  });
});
