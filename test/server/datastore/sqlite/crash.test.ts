import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, onTestFinished, test } from "vitest";
import type { DataStore } from "../../../../src/server/datastore/datastore.ts";
import { openSqliteDataStore } from "../../../../src/server/datastore/sqlite/datastore.ts";
import { FakeClock } from "../../../fakes/fake-clock.ts";
import { tempFolder } from "../../../fakes/temp-datastore.ts";

const CHILD = join(import.meta.dirname, "crash-child.ts");

/** The numbers that the child printed before it ended; `upTo` lines later it is killed. */
async function acknowledged(child: ChildProcess, upTo: number): Promise<string[]> {
  onTestFinished(() => void child.kill("SIGKILL"));
  const lines: string[] = [];
  if (child.stdout === null) throw new Error("the child has no output");
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    if (lines.length === upTo) child.kill("SIGKILL");
  }
  return lines;
}

/** Every acknowledged pair is there, and no half of any other. */
async function checkPairs(store: DataStore, numbers: ReadonlySet<string>): Promise<number> {
  const stored = await store.entries.list({}, { size: 0, token: "" });
  const ids = new Set(stored.items.map((item) => item.entryId));
  for (const number of numbers) expect(ids, `pair ${number}`).toContain(`${number}-a`);
  for (const id of ids) expect(ids).toContain(id.endsWith("-a") ? id.replace("-a", "-b") : id.replace("-b", "-a"));
  expect(await store.events.latest()).toBe(BigInt(ids.size));
  return ids.size / 2;
}

describe("kill -9 in the middle of transactions", () => {
  test("loses nothing acknowledged and keeps no half transaction", { timeout: 60_000 }, async () => {
    const path = join(await tempFolder(), "datastore.sqlite3");
    const numbers = new Set<string>();
    for (const [round, lines] of [1, 40, 173, 7].entries()) {
      const child = spawn(process.execPath, [CHILD, path, String(round * 100_000)], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      for (const line of await acknowledged(child, lines)) numbers.add(line);
      expect(child.signalCode ?? (await once(child, "exit"))[1]).toBe("SIGKILL");
      const store = await openSqliteDataStore({ path, clock: new FakeClock() });
      const pairs = await checkPairs(store, numbers);
      expect(pairs).toBeGreaterThanOrEqual(numbers.size);
      await store.close();
    }
  });
});

/** A user namespace may mount a small file system of its own; not every host allows it. */
const canMount = spawnSync("unshare", ["-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).status === 0;

describe("a full file system", () => {
  test.skipIf(!canMount)(
    "is refused as UNAVAILABLE; what was acknowledged before is there (where unshare may mount)",
    async () => {
      const folder = join(await tempFolder(), "small");
      await mkdir(folder);
      // The shell stays in the namespace after the child, and shows what the child left.
      const script = `mount -t tmpfs -o size=1m tmpfs "$1" || exit 9
      "$2" "$3" "$1/db" 0 "$4"; code=$?
      cp "$1"/db* "$1/.." && exit $code`;
      const hint = "x".repeat(900);
      const child = spawn("unshare", ["-rm", "sh", "-c", script, "sh", folder, process.execPath, CHILD, hint], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const lines = await acknowledged(child, Number.POSITIVE_INFINITY);
      expect(child.exitCode ?? (await once(child, "exit"))[0]).toBe(3);
      expect(lines.pop()).toBe("UNAVAILABLE");
      const store = await openSqliteDataStore({ path: join(folder, "..", "db"), clock: new FakeClock() });
      onTestFinished(() => store.close());
      expect(await checkPairs(store, new Set(lines))).toBeGreaterThan(0);
    },
  );
});
