import { createPrivateKey, createPublicKey, verify } from "node:crypto";
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { silentLogger } from "../../../src/lib/log.ts";
import { DiskKeyManager } from "../../../src/server/ca/disk-key-manager.ts";
import type { KeyManager } from "../../../src/server/ca/key-manager.ts";
import { MemoryKeyManager } from "../../../src/server/ca/memory-key-manager.ts";
import { tempFolder } from "../../fakes/temp-datastore.ts";

const log = silentLogger;

async function diskFile(): Promise<string> {
  return join(await tempFolder(), "keys.json");
}

describe.each<[string, () => Promise<KeyManager>]>([
  ["memory", async () => new MemoryKeyManager()],
  ["disk", async () => DiskKeyManager.open({ path: await diskFile(), log })],
])("%s", (_name, make) => {
  test("makes keys that sign, and replaces them by ID", async () => {
    const keys = await make();
    expect(await keys.getKey("a")).toBeUndefined();
    const first = await keys.generateKey("a", "ec-p256");
    expect(await keys.getKey("a")).toBe(first);
    const data = new Uint8Array([1, 2, 3]);
    const publicKey = createPublicKey({ key: Buffer.from(first.signer.publicKeySpki), format: "der", type: "spki" });
    expect(verify("sha256", data, publicKey, await first.signer.sign(data))).toBe(true);
    const other = await keys.generateKey("b", "ec-p384");
    const second = await keys.generateKey("a", "rsa-2048");
    expect(second.signer.publicKeySpki).not.toEqual(first.signer.publicKeySpki);
    expect(await keys.getKey("a")).toBe(second);
    expect(await keys.getKey("b")).toBe(other);
  });
});

describe("the key file", () => {
  test("is private, in SPIRE's format, and read back", async () => {
    const path = await diskFile();
    const keys = await DiskKeyManager.open({ path, log });
    const [a, b] = await Promise.all([keys.generateKey("x509-CA-A", "ec-p256"), keys.generateKey("b", "ec-p384")]);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const content = JSON.parse(await readFile(path, "utf8")) as { keys: Record<string, string> };
    expect(Object.keys(content.keys).sort()).toEqual(["b", "x509-CA-A"]);
    const stored = Buffer.from(content.keys["x509-CA-A"] ?? "", "base64");
    expect(createPrivateKey({ key: stored, format: "der", type: "pkcs8" }).asymmetricKeyType).toBe("ec");
    const again = await DiskKeyManager.open({ path, log });
    expect((await again.getKey("x509-CA-A"))?.signer.publicKeySpki).toEqual(a.signer.publicKeySpki);
    expect((await again.getKey("b"))?.signer.publicKeySpki).toEqual(b.signer.publicKeySpki);
    expect(await readdir(join(path, ".."))).toEqual(["keys.json"]);
  });

  test.each([
    ["empty", ""],
    ["cut", '{"keys":{"x509-CA-A":"MIG'],
    ["something else", "[]"],
    ["unknown members", '{"keys":{},"more":1}'],
    ["no base64", '{"keys":{"x509-CA-A":"!"}}'],
    ["no key", '{"keys":{"x509-CA-A":"AAAA"}}'],
  ])("%s: refused, named, not quoted, and left alone", async (_name, content) => {
    const path = await diskFile();
    await writeFile(path, content, { mode: 0o600 });
    const error: unknown = await DiskKeyManager.open({ path, log }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "DATA_LOSS" });
    expect((error as Error).cause).toBeUndefined();
    expect(String(error)).toContain(path);
    expect(String(error)).not.toContain("MIG");
    expect(await readFile(path, "utf8")).toBe(content);
  });

  test("readable by others: refused with the command that helps", async () => {
    const path = await diskFile();
    await (await DiskKeyManager.open({ path, log })).generateKey("a", "ec-p256");
    await chmod(path, 0o640);
    await expect(DiskKeyManager.open({ path, log })).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining(`chmod 600 ${path}`),
    });
  });

  test("a missing folder, and a folder in its place", async () => {
    const folder = await tempFolder();
    for (const path of [join(folder, "no", "keys.json"), folder]) {
      await expect(DiskKeyManager.open({ path, log })).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
    }
  });

  test("a write that fails leaves the old keys in memory and on disk", async () => {
    const path = await diskFile();
    const keys = await DiskKeyManager.open({ path, log });
    const first = await keys.generateKey("a", "ec-p256");
    const before = await readFile(path, "utf8");
    // A folder where the draft is to be: it is not removed, and cannot be written.
    await mkdir(`${path}.tmp`);
    await writeFile(join(`${path}.tmp`, "x"), "");
    await expect(keys.generateKey("a", "ec-p256")).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringContaining(path),
    });
    expect(await keys.getKey("a")).toBe(first);
    expect(await readFile(path, "utf8")).toBe(before);
    await rm(`${path}.tmp`, { recursive: true });
    expect(await keys.getKey("a")).not.toBe(await keys.generateKey("a", "ec-p256"));
  });
});
