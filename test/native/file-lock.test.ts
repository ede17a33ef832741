/** One process per lock file. */
import { mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ADDON_FILE, Child, codeOf, loadAddon, openFiles, TestFolder } from "./support.ts";

const addon = loadAddon();

const HOLD = `const lock = require(process.argv[1]).lockFile(process.argv[2]);
  console.log(lock === undefined ? "refused" : "held");
  process.stdin.once("data", () => { lock.release(); console.log("released"); });`;

test("another process is refused until the holder releases or dies", async () => {
  using folder = new TestFolder();
  const path = join(folder.path, "lock");
  await using first = Child.node(HOLD, [path]);
  expect(await first.line()).toBe("held");
  const before = openFiles();
  expect(addon.lockFile(path)).toBeUndefined();
  expect(openFiles()).toBe(before);

  first.send("release");
  expect(await first.line()).toBe("released");
  const lock = addon.lockFile(path);
  expect(lock).toBeDefined();
  await using second = Child.node(HOLD, [path]);
  expect(await second.line()).toBe("refused");
  lock?.release();
  lock?.release();

  await using third = Child.node(HOLD, [path]);
  expect(await third.line()).toBe("held");
  await third.kill();
  using again = addon.lockFile(path);
  expect(again).toBeDefined();
});

test("creates the file for its owner only, and leaves one that is there as it is", () => {
  using folder = new TestFolder();
  const path = join(folder.path, "lock");
  using lock = addon.lockFile(path);
  expect(lock).toBeDefined();
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const kept = join(folder.path, "kept");
  writeFileSync(kept, "text");
  addon.lockFile(kept)?.release();
  expect(readFileSync(kept, "utf8")).toBe("text");
});

test("a second lock of the same process is refused", () => {
  using folder = new TestFolder();
  const path = join(folder.path, "lock");
  using lock = addon.lockFile(path);
  expect(lock).toBeDefined();
  expect(addon.lockFile(path)).toBeUndefined();
});

test("a lock that is no longer referenced stays locked", async () => {
  using folder = new TestFolder();
  const path = join(folder.path, "lock");
  const script = `(() => { require(process.argv[1]).lockFile(process.argv[2]); })();
    (async () => {
      for (let i = 0; i < 20; i++) { gc(); await new Promise(setImmediate); }
      console.log("collected");
      process.stdin.resume();
    })();`;
  await using child = new Child(process.execPath, ["--expose-gc", "-e", script, "--", ADDON_FILE, path]);
  expect(await child.line()).toBe("collected");
  expect(addon.lockFile(path)).toBeUndefined();
});

test("a child process does not inherit the lock", async () => {
  using folder = new TestFolder();
  const path = join(folder.path, "lock");
  const lock = addon.lockFile(path);
  await using _ = new Child("sleep", ["1000"]);
  lock?.release();
  using again = addon.lockFile(path);
  expect(again).toBeDefined();
});

test("a file that was deleted is not what is locked", () => {
  using folder = new TestFolder();
  const path = join(folder.path, "lock");
  using old = addon.lockFile(path);
  rmSync(path);
  using lock = addon.lockFile(path);
  expect([old, lock]).not.toContain(undefined);
  expect(addon.lockFile(path)).toBeUndefined();
});

test("refuses symbolic links, folders, devices and wrong arguments", () => {
  using folder = new TestFolder();
  const at = (name: string): string => join(folder.path, name);
  symlinkSync(at("target"), at("link"));
  mkdirSync(at("folder"));
  expect(codeOf(() => addon.lockFile(at("link")))).toBe("ELOOP");
  expect(codeOf(() => addon.lockFile(at("folder")))).toBe("EISDIR");
  expect(codeOf(() => addon.lockFile(at("missing/lock")))).toBe("ENOENT");
  expect(codeOf(() => addon.lockFile("/dev/null"))).toBe("EINVAL");
  expect(codeOf(() => addon.lockFile(`${at("lock")}\0`))).toBe("EINVAL");
  expect(codeOf(() => addon.lockFile("x".repeat(5000)))).toBe("ENAMETOOLONG");
  expect(() => addon.lockFile(undefined as unknown as string)).toThrow(TypeError);
});
