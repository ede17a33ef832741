/** Where the storage key comes from. */
import { chmodSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  CredentialKeyKeeper,
  FileKeyKeeper,
  STORAGE_CREDENTIAL,
  STORAGE_KEY_FILE,
} from "../../../src/agent/store/storage-key.ts";
import { systemRandom } from "../../../src/lib/random.ts";
import { FakeClock } from "../../fakes/fake-clock.ts";
import { RecordingLogger } from "../harness.ts";

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "storage-key-"));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}

describe("in a file", () => {
  const keeper = (path: string, log = new RecordingLogger()) =>
    new FileKeyKeeper({ clock: new FakeClock(), log, random: systemRandom, folder: path });

  test("made once, for its owner alone, and found again", async () => {
    const path = folder();
    const made = await keeper(path).open();
    expect(made).toMatchObject({ protection: "file" });
    expect(made.bytes).toHaveLength(32);
    expect(statSync(join(path, STORAGE_KEY_FILE)).mode & 0o777).toBe(0o600);
    expect(await keeper(path).open()).toEqual(made);
    expect(await keeper(folder()).open()).not.toEqual(made);
  });

  test.each([
    ["empty", ""],
    ["short", "holdfast-storage-key 1 AAAA\n"],
    ["of another version", `holdfast-storage-key 2 ${"A".repeat(43)}=\n`],
    ["long", "x".repeat(10_000)],
  ])("one that is %s is set aside", async (_name, content) => {
    const path = folder();
    writeFileSync(join(path, STORAGE_KEY_FILE), content, { mode: 0o600 });
    expect((await keeper(path).open()).bytes).toHaveLength(32);
    expect(readdirSync(path).filter((name) => name.startsWith(`${STORAGE_KEY_FILE}.damaged-`))).toHaveLength(1);
  });

  test("one that others may write is not used", async () => {
    const path = folder();
    const made = await keeper(path).open();
    chmodSync(join(path, STORAGE_KEY_FILE), 0o602);
    expect(await keeper(path).open()).not.toEqual(made);
    expect(readdirSync(path).some((name) => name.includes(".foreign-"))).toBe(true);
  });

  test("one that others may read is used, with a warning that has no key in it", async () => {
    const path = folder();
    const log = new RecordingLogger();
    const made = await keeper(path).open();
    chmodSync(join(path, STORAGE_KEY_FILE), 0o644);
    expect(await keeper(path, log).open()).toEqual(made);
    expect(log.text).toContain("Others may have read the storage key");
    const line = readFileSync(join(path, STORAGE_KEY_FILE), "latin1").split(" ")[2] ?? "";
    expect(log.text).not.toContain(line.slice(0, 10));
  });
});

describe("a systemd credential", () => {
  test("gives the same key each time, and not its own bytes", async () => {
    const path = folder();
    const content = "c".repeat(40);
    writeFileSync(join(path, STORAGE_CREDENTIAL), content, { mode: 0o400 });
    const key = await new CredentialKeyKeeper(path).open();
    expect(key.protection).toBe("credential");
    expect(key.bytes).toHaveLength(32);
    expect(Buffer.from(key.bytes).toString("latin1")).not.toContain("ccc");
    expect(await new CredentialKeyKeeper(path).open()).toEqual(key);
  });

  test.each([
    ["missing", undefined, "it is not there"],
    ["short", "c".repeat(31), "fewer than 32 bytes"],
  ])("that is %s is an error that names it", async (_name, content, why) => {
    const path = folder();
    if (content !== undefined) writeFileSync(join(path, STORAGE_CREDENTIAL), content, { mode: 0o400 });
    await expect(new CredentialKeyKeeper(path).open()).rejects.toThrow(why);
    await expect(new CredentialKeyKeeper(path).open()).rejects.toThrow(STORAGE_CREDENTIAL);
  });
});
