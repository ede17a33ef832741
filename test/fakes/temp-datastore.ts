/** A real datastore in a folder of its own, removed after the test. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { DataStore } from "../../src/server/datastore/datastore.ts";
import { openSqliteDataStore } from "../../src/server/datastore/sqlite/datastore.ts";
import { FakeClock } from "./fake-clock.ts";

/** A new folder that goes when the test ends. */
export async function tempFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-test-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** An open, empty datastore, closed when the test ends. */
export async function tempDataStore(
  clock: FakeClock = new FakeClock(),
): Promise<{ readonly store: DataStore; readonly path: string; readonly clock: FakeClock }> {
  const path = join(await tempFolder(), "datastore.sqlite3");
  const store = await openSqliteDataStore({ path, clock });
  onTestFinished(() => store.close());
  return { store, path, clock };
}
