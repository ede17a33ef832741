/** The file of workloads: written in the background, read at a start, set aside when it cannot be used. */
import { mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { AgentHealth } from "../../../src/agent/health.ts";
import type { StorageKey } from "../../../src/agent/store/storage-key.ts";
import { WORKLOADS_FILE, WorkloadStore } from "../../../src/agent/store/workload-store.ts";
import type { WorkloadSnapshot } from "../../../src/agent/store/workloads.ts";
import { systemRandom } from "../../../src/lib/random.ts";
import { FakeClock } from "../../fakes/fake-clock.ts";
import { TD } from "../entries.ts";
import { RecordingLogger, until } from "../harness.ts";
import { plain, snapshot } from "./snapshot.ts";

const KEY = { bytes: new Uint8Array(32).fill(7), protection: "file" } as const;

function site() {
  const folder = mkdtempSync(join(tmpdir(), "store-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const clock = new FakeClock();
  const log = new RecordingLogger();
  const health = new AgentHealth(clock, log);
  const now: { value: WorkloadSnapshot | undefined } = { value: undefined };
  const open = (change: { key?: StorageKey; folder?: string } = {}) =>
    new WorkloadStore({
      clock,
      random: systemRandom,
      log,
      health,
      folder,
      trustDomain: TD,
      key: KEY,
      snapshot: () => {
        if (now.value === undefined) throw new Error("nothing to store");
        return now.value;
      },
      ...change,
    });
  return { folder, path: join(folder, WORKLOADS_FILE), clock, log, health, now, open };
}

/** Runs a store until the test is over, or `stop`. */
function running(store: WorkloadStore) {
  const controller = new AbortController();
  const ended = store.run(controller.signal).catch(() => {});
  onTestFinished(() => controller.abort());
  return {
    stop: async () => {
      controller.abort();
      await ended;
    },
  };
}

describe("writing", () => {
  test("what was written is read at the next start, and nobody else may read it", async () => {
    const { now, open, path } = site();
    now.value = await snapshot();
    const store = open();
    const run = running(store);
    store.changed();
    await run.stop();
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const stored = await open().load();
    expect(stored && plain(stored)).toEqual(plain(now.value));
  });

  test("at most once a second, and then what is newest", async () => {
    const { now, open, path, clock } = site();
    now.value = await snapshot();
    const store = open();
    running(store);
    await clock.parked(1);
    store.changed();
    await until(() => statSync(path, { throwIfNoEntry: false }) !== undefined);
    await clock.parked(1);
    const first = readFileSync(path);
    now.value = await snapshot(5);
    store.changed();
    await clock.advance(900);
    expect(readFileSync(path)).toEqual(first);
    await clock.advance(200);
    await until(() => !readFileSync(path).equals(first));
    expect([...((await open().load())?.entries ?? [])]).toHaveLength(5);
  });

  test("a stop writes what is still to be written", async () => {
    const { now, open, clock } = site();
    now.value = await snapshot();
    const store = open();
    const run = running(store);
    await clock.parked(1);
    store.changed();
    await run.stop();
    expect(await open().load()).toBeDefined();
  });

  test("a folder that is gone is told once, and the next success resolves it", async () => {
    const { now, open, folder, clock, health, log } = site();
    now.value = await snapshot();
    const there = join(folder, "later");
    const store = open({ folder: there });
    running(store);
    await clock.parked(1);
    store.changed();
    await until(() => health.facts.value.problems.has("svid_storage"));
    expect(log.lines.filter(({ level }) => level === "error")).toHaveLength(1);
    const { mkdir } = await import("node:fs/promises");
    await mkdir(there);
    await clock.advance(120_000);
    await until(() => !health.facts.value.problems.has("svid_storage"));
  });

  test("what is cleared is gone", async () => {
    const { now, open, path } = site();
    now.value = await snapshot();
    const store = open();
    const run = running(store);
    store.changed();
    await run.stop();
    await store.clear();
    expect(statSync(path, { throwIfNoEntry: false })).toBeUndefined();
    expect(await open().load()).toBeUndefined();
  });
});

describe("reading", () => {
  async function written() {
    const given = site();
    given.now.value = await snapshot();
    const store = given.open();
    const run = running(store);
    store.changed();
    await run.stop();
    return { ...given, file: readFileSync(given.path) };
  }

  test("nothing there is no trouble", async () => {
    const { open, health } = site();
    expect(await open().load()).toBeUndefined();
    expect(health.facts.value.problems.size).toBe(0);
  });

  test.each([
    ["damaged", (file: Buffer) => file.subarray(0, -1)],
    ["foreign", () => Buffer.from("something else\n")],
    [
      "newer-version",
      (file: Buffer) => Buffer.from(file.toString("latin1").replace("version=1", "version=9"), "latin1"),
    ],
  ])("a %s file is set aside under a name that says so, and reported", async (why, change) => {
    const { open, path, file, folder, health } = await written();
    writeFileSync(path, change(file));
    expect(await open().load()).toBeUndefined();
    expect(readdirSync(folder).filter((name) => name.startsWith(`${WORKLOADS_FILE}.${why}-`))).toHaveLength(1);
    expect(health.facts.value.problems.get("svid_storage")).toContain("set aside");
  });

  test("a file of another key is set aside, not lost", async () => {
    const { open, folder } = await written();
    expect(await open({ key: { ...KEY, bytes: new Uint8Array(32) } }).load()).toBeUndefined();
    expect(readdirSync(folder).some((name) => name.includes(".foreign-"))).toBe(true);
  });

  test("cut anywhere it is never used, and never fatal", async () => {
    const { open, path, file, folder } = await written();
    for (let length = 0; length < file.length; length += Math.ceil(file.length / 25)) {
      writeFileSync(path, file.subarray(0, length), { mode: 0o600 });
      expect(await open().load()).toBeUndefined();
    }
    // Of those that were set aside the newest are kept.
    expect(readdirSync(folder)).toHaveLength(3);
  });
});
