/** Keys in one file, `{"keys":{"<id>":"<base64 PKCS#8>"}}` as SPIRE's `disk` key manager writes it, for its owner alone. */
import { createPrivateKey, type KeyObject } from "node:crypto";
import { access, constants, readFile, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { setAside, writeFileAtomic } from "../../lib/atomic-file.ts";
import { AgentError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import { generateKey, type KeyType, pkcs8Of } from "../../pki/keys.ts";
import { signerFor } from "../../pki/signer.ts";
import type { KeyManager, ManagedKey } from "./key-manager.ts";

const FILE_MODE = 0o600;
const OTHERS = 0o077;

const schema = z.strictObject({ keys: z.record(z.string(), z.base64()) });

interface StoredKey {
  readonly key: ManagedKey;
  readonly pkcs8: Uint8Array;
}

export class DiskKeyManager implements KeyManager {
  readonly #path: string;
  readonly #keys: Map<string, StoredKey>;
  #writing: Promise<unknown> = Promise.resolve();

  private constructor(path: string, keys: Map<string, StoredKey>) {
    this.#path = path;
    this.#keys = keys;
  }

  /**
   * Reads the file; without one there are no keys yet. Throws `DATA_LOSS` for a damaged file, which stays as it is,
   * and `FAILED_PRECONDITION` for one that cannot be read or that others may read or write.
   */
  static async open(deps: { readonly path: string; readonly log: Logger }): Promise<DiskKeyManager> {
    const { path, log } = deps;
    const text = await read(path);
    if (text === undefined) {
      await requireFolder(dirname(path));
      log.info("No key file yet; it is made with the first key", { path });
      return new DiskKeyManager(path, new Map());
    }
    return new DiskKeyManager(path, parse(path, text));
  }

  async generateKey(id: string, type: KeyType): Promise<ManagedKey> {
    const stored = storedKey(id, await generateKey(type));
    // One write at a time, and the memory follows the disk.
    const written = this.#writing.then(() => this.#write(id, stored));
    this.#writing = written.catch(() => {});
    await written;
    return stored.key;
  }

  async getKey(id: string): Promise<ManagedKey | undefined> {
    return this.#keys.get(id)?.key;
  }

  async setAside(now: number): Promise<string> {
    const moved = this.#writing.then(async () => {
      const place = await setAside(this.#path, "unused", now).catch((error: unknown) => {
        throw new AgentError("UNAVAILABLE", `key file ${this.#path} cannot be set aside`, { cause: error });
      });
      this.#keys.clear();
      return place;
    });
    this.#writing = moved.catch(() => {});
    return await moved;
  }

  async #write(id: string, stored: StoredKey): Promise<void> {
    const keys = new Map(this.#keys).set(id, stored);
    const content: z.infer<typeof schema> = { keys: {} };
    for (const [name, { pkcs8 }] of keys) content.keys[name] = Buffer.from(pkcs8).toString("base64");
    try {
      await writeFileAtomic(
        this.#path,
        new TextEncoder().encode(`${JSON.stringify(content, undefined, "\t")}\n`),
        FILE_MODE,
      );
    } catch (error) {
      throw new AgentError("UNAVAILABLE", `key file ${this.#path} cannot be written`, { cause: error });
    }
    this.#keys.set(id, stored);
  }
}

async function read(path: string): Promise<string | undefined> {
  try {
    const text = await readFile(path, "utf8");
    const { mode } = await stat(path);
    if ((mode & OTHERS) !== 0) {
      throw new AgentError(
        "FAILED_PRECONDITION",
        `key file ${path} has mode ${(mode & 0o777).toString(8)}, so others than its owner may read or write the CA's keys: run chmod 600 ${path}`,
      );
    }
    return text;
  } catch (error) {
    if (error instanceof AgentError) throw error;
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new AgentError("FAILED_PRECONDITION", `key file ${path} cannot be read`, { cause: error });
  }
}

async function requireFolder(folder: string): Promise<void> {
  try {
    await access(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new AgentError("FAILED_PRECONDITION", `folder ${folder} of the key file cannot be used`, { cause: error });
  }
}

function parse(path: string, text: string): Map<string, StoredKey> {
  const keys = new Map<string, StoredKey>();
  let id: string | undefined;
  try {
    const stored = schema.parse(JSON.parse(text));
    for (const [name, base64] of Object.entries(stored.keys)) {
      id = name;
      const key = createPrivateKey({ key: Buffer.from(base64, "base64"), format: "der", type: "pkcs8" });
      keys.set(name, storedKey(name, key));
    }
    return keys;
  } catch {
    // The cause is left out: it may quote the file.
    const what = id === undefined ? "it is not of the form that keys are written in" : `key "${id}" is unusable`;
    throw new AgentError(
      "DATA_LOSS",
      `key file ${path} is damaged (${what}): restore a backup, or move it away to start with a new CA; nothing was changed`,
    );
  }
}

function storedKey(id: string, key: KeyObject): StoredKey {
  return { key: { id, signer: signerFor(key) }, pkcs8: pkcs8Of(key) };
}
