/** What survives a restart, and what happens to files that should not be believed. */
import { execFileSync } from "node:child_process";
import {
  chmod,
  chown,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AgentData } from "../../src/agent/agent-data.ts";
import { FileAgentStorage } from "../../src/agent/storage.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { generateKey, pkcs8Of, spkiOf } from "../../src/pki/keys.ts";
import { agentId, parseTrustDomain } from "../../src/spiffe/id.ts";
import { TestCa } from "../fakes/test-ca.ts";
import { RecordingLogger, TD } from "./harness.ts";

let folder: string;
let directory: string;
let path: string;
let log: RecordingLogger;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "storage-"));
  directory = join(folder, "data");
  path = join(directory, "agent-data.json");
  log = new RecordingLogger();
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const storage = (change: { trustDomain?: typeof TD; keepKey?: boolean; directory?: string } = {}): FileAgentStorage =>
  new FileAgentStorage({ clock: systemClock, log, directory, trustDomain: TD, keepKey: true, ...change });

const ca = await TestCa.create(TD);
const jwtKey = await generateKey("ec-p256");
const data: Required<AgentData> = {
  identity: { svid: await ca.svid(agentId(TD, "join_token", "abc")), reattestable: false },
  bundle: {
    ...ca.bundle({ tainted: true, sequence: 42n }),
    refreshHint: 60,
    jwtAuthorities: [{ keyId: "k1", publicKey: spkiOf(jwtKey), expiresAt: 1_900_000_000, tainted: false }],
  },
  lastGoodTime: Date.now(),
};

async function saved(): Promise<void> {
  await storage().load();
  await storage().save(data);
}

/** The one file beside `agent-data.json`. */
async function aside(): Promise<string> {
  const names = (await readdir(directory)).filter((name) => name !== "agent-data.json");
  expect(names).toHaveLength(1);
  return names[0] ?? "";
}

describe("agent-data.json", () => {
  test("nothing is there at first; the folder is made, for us alone", async () => {
    expect(await storage().load()).toBeUndefined();
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
  });

  test("gives back what was saved", async () => {
    await saved();
    const loaded = await storage().load();
    expect(loaded?.bundle).toEqual(data.bundle);
    expect(loaded?.lastGoodTime).toBe(data.lastGoodTime);
    const { privateKey, ...svid } = loaded!.identity!.svid;
    const { privateKey: expectedKey, ...expected } = data.identity.svid;
    expect(svid).toEqual(expected);
    expect(pkcs8Of(privateKey)).toEqual(pkcs8Of(expectedKey));
    expect(loaded?.identity?.reattestable).toBe(false);
  });

  test("is for us alone, also under a lax umask and over a lax file", async () => {
    await mkdir(directory);
    await writeFile(path, "old", { mode: 0o666 });
    const before = process.umask(0);
    try {
      await storage().save(data);
    } finally {
      process.umask(before);
    }
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readdir(directory)).toEqual(["agent-data.json"]);
  });

  test("with KeyManager memory neither SVID nor key is written, the bundle is", async () => {
    await storage().load();
    await storage({ keepKey: false }).save(data);
    const text = await readFile(path, "utf8");
    expect(text).not.toContain(Buffer.from(pkcs8Of(data.identity.svid.privateKey)).toString("base64"));
    const loaded = await storage({ keepKey: false }).load();
    expect(loaded?.identity).toBeUndefined();
    expect(loaded?.bundle).toEqual(data.bundle);
  });

  test("saves at the same time come one after the other; the last one stands", async () => {
    await storage().load();
    const one = storage();
    await Promise.all(Array.from({ length: 20 }, (_, index) => one.save({ ...data, lastGoodTime: index })));
    expect((await storage().load())?.lastGoodTime).toBe(19);
  });

  test("a draft that a crash left behind does no harm, nor does a link in its place", async () => {
    await saved();
    await writeFile(`${path}.tmp`, "half a fi");
    expect(await storage().load()).toBeDefined();
    const victim = join(folder, "victim");
    await writeFile(victim, "precious");
    await rm(`${path}.tmp`);
    await symlink(victim, `${path}.tmp`);
    await storage().save(data);
    expect(await readFile(victim, "utf8")).toBe("precious");
  });
});

describe("files that are not believed", () => {
  const spireFile = JSON.stringify({ svid: ["x"], bundle: ["y"], reattestable: false });
  const change = (text: string, edit: (json: Record<string, unknown>) => void): string => {
    const json = JSON.parse(text) as Record<string, unknown>;
    edit(json);
    return JSON.stringify(json);
  };
  const cases: readonly (readonly [string, string, (text: string) => string])[] = [
    ["cut short", "damaged", (text) => text.slice(0, text.length / 2)],
    ["empty", "damaged", () => ""],
    [
      "one bit flipped in the key",
      "damaged",
      (text) => text.replace(/("private_key":".{40})(.)/, (_m, head, c) => head + (c === "A" ? "B" : "A")),
    ],
    [
      "one bit flipped in the bundle",
      "damaged",
      (text) => text.replace(/("certificate":".{90})(.)/, (_m, head, c) => head + (c === "A" ? "B" : "A")),
    ],
    [
      "a reattestable flag changed by hand",
      "damaged",
      (text) => text.replace('"reattestable":false', '"reattestable":true'),
    ],
    ["a member more", "damaged", (text) => change(text, (json) => Object.assign(json, { extra: 1 }))],
    ["a checksum gone", "damaged", (text) => change(text, (json) => delete json.sha256)],
    ["of a newer version", "newer-version", (text) => change(text, (json) => Object.assign(json, { version: 2 }))],
    ["SPIRE's own", "foreign", () => spireFile],
    ["a list", "foreign", () => "[]"],
  ];

  test.each(cases)("%s: set aside as %s, reported, not fatal", async (_name, why, edit) => {
    await saved();
    const text = edit(await readFile(path, "utf8"));
    await writeFile(path, text);
    expect(await storage().load()).toBeUndefined();
    const name = await aside();
    expect(name).toMatch(new RegExp(`^agent-data\\.json\\.${why}-\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z$`));
    expect(await readFile(join(directory, name), "utf8")).toBe(text);
    expect(log.text).toContain(name);
    await storage().save(data);
    expect(await storage().load()).toBeDefined();
  });

  test("of another trust domain", async () => {
    await saved();
    expect(await storage({ trustDomain: parseTrustDomain("other.org") }).load()).toBeUndefined();
    expect(await aside()).toContain(".foreign-");
    expect(log.text).toContain("example.org");
  });

  test("a key that does not belong to the SVID", async () => {
    await storage().load();
    const other = { ...data.identity.svid, privateKey: await generateKey("ec-p256") };
    await storage().save({ ...data, identity: { ...data.identity, svid: other } });
    expect(await storage().load()).toBeUndefined();
    expect(await aside()).toContain(".damaged-");
    expect(log.text).toContain("key does not belong");
  });

  test("a link, and something that is no file", async () => {
    await saved();
    await rename(path, join(folder, "elsewhere"));
    await symlink(join(folder, "elsewhere"), path);
    expect(await storage().load()).toBeUndefined();
    expect(await aside()).toContain(".foreign-");
    await mkdir(path);
    expect(await storage().load()).toBeUndefined();
  });

  test("one that belongs to somebody else", async ({ skip }) => {
    if (process.getuid?.() !== 0) return skip("only root can give a file away");
    await saved();
    await chown(path, 65_534, 65_534);
    expect(await storage().load()).toBeUndefined();
    expect(log.text).toContain("another user");
  });

  test("one that everybody may write to: what it says may be theirs", async () => {
    await saved();
    await chmod(path, 0o602);
    expect(await storage().load()).toBeUndefined();
    expect(await aside()).toContain(".foreign-");
    expect(log.text).toContain("others may write to it");
  });

  test.runIf(process.getuid?.() === 0)("one that another group may write to", async () => {
    await saved();
    await chmod(path, 0o620);
    await chown(path, 0, 65_534);
    expect(await storage().load()).toBeUndefined();
    expect(log.text).toContain("others may write to it");
  });

  test.each([0o640, 0o604, 0o660])("one that others may read (%o) is used, and reported", async (mode) => {
    await saved();
    await chmod(path, mode);
    expect(await storage().load()).toBeDefined();
    expect(log.lines).toMatchObject([{ level: "warn", fields: { path } }]);
    await storage().save(data);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  test.each([0o777, 0o1777])("a folder that everybody may write to (%o) is reported", async (mode) => {
    await saved();
    await chmod(directory, mode);
    expect(await storage().load()).toBeDefined();
    expect(log.lines).toMatchObject([{ level: "warn", fields: { path: directory } }]);
  });

  test("two set aside at one moment do not replace each other", async () => {
    const clock = { ...systemClock, now: () => 0 };
    for (let round = 0; round < 2; round++) {
      await mkdir(directory, { recursive: true });
      await writeFile(path, `broken ${round}`);
      const one = new FileAgentStorage({ clock, log, directory, trustDomain: TD, keepKey: true });
      expect(await one.load()).toBeUndefined();
    }
    expect((await readdir(directory)).sort()).toEqual([
      "agent-data.json.damaged-1970-01-01T00:00:00.000Z",
      "agent-data.json.damaged-1970-01-01T00:00:00.000Z-2",
    ]);
  });

  test("an error does not repeat the content", async () => {
    await saved();
    await writeFile(path, (await readFile(path, "utf8")).replace('"version":1', '"version":"PRIVATE'));
    await storage().load();
    expect(log.text).not.toContain("PRIVATE");
  });
});

describe("a place that cannot be used", () => {
  test("is fatal at the start, with its name", async () => {
    await writeFile(join(folder, "file"), "");
    const inFile = storage({ directory: join(folder, "file", "data") });
    await expect(inFile.load()).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
    await expect(inFile.load()).rejects.toThrow(join(folder, "file", "data"));
  });

  test("without the right to read it", async ({ skip }) => {
    if (process.getuid?.() === 0) return skip("root may read everything");
    await saved();
    await chmod(directory, 0o000);
    await expect(storage().load()).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
    await chmod(directory, 0o700);
  });

  test("fails a save, and leaves what was there", async () => {
    await saved();
    await mkdir(`${path}.tmp`);
    await writeFile(join(`${path}.tmp`, "in-the-way"), "");
    await expect(storage().save({ lastGoodTime: 1 })).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
    expect((await storage().load())?.lastGoodTime).toBe(data.lastGoodTime);
  });

  test("a full disk: says so, and leaves what was there", async (context) => {
    await mkdir(directory);
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", directory], { stdio: "ignore" });
    } catch {
      context.skip("needs the right to mount a small file system");
    }
    try {
      await storage().save(data);
      await writeFile(join(directory, "filler"), Buffer.alloc(64 * 1024)).catch(() => {});
      await expect(storage().save({ ...data, lastGoodTime: 1 })).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED" });
      expect((await storage().load())?.lastGoodTime).toBe(data.lastGoodTime);
    } finally {
      execFileSync("umount", [directory]);
    }
  });
});
