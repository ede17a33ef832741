/** The key that stored files are sealed with, and where it is kept. */
import { hkdfSync } from "node:crypto";
import { join } from "node:path";
import { setAside, writeFileAtomic } from "../../lib/atomic-file.ts";
import type { Clock } from "../../lib/clock.ts";
import { AgentError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import type { Random } from "../../lib/random.ts";
import { decodeBase64 } from "../../pki/base64.ts";
import { readOwnFile } from "./own-file.ts";
import { KEY_BYTES } from "./sealed-file.ts";

/** What keeps the key from whoever has the disk. `file` keeps nothing: the key lies beside what it seals. */
export type KeyProtection = "tpm" | "credential" | "file";

/** A key in use. */
export interface StorageKey {
  readonly bytes: Uint8Array;
  readonly protection: KeyProtection;
}

/** Finds the key, or makes one where there was none. */
export interface StorageKeyKeeper {
  /** Throws `FAILED_PRECONDITION` when there is one that cannot be had, or none can be kept. */
  open(signal: AbortSignal): Promise<StorageKey>;
}

const LONGEST_FILE = 4 * 1024;
const KEY_LINE = /^holdfast-storage-key 1 (?<key>[A-Za-z0-9+/]{43}=)\n$/;

/** The name of the systemd credential. */
export const STORAGE_CREDENTIAL = "holdfast-storage-key";
/** The name of the file. */
export const STORAGE_KEY_FILE = "storage-key";

/** A key that systemd decrypts for the service (`LoadCredentialEncrypted=`), of which ours is derived (RFC 5869). */
export class CredentialKeyKeeper implements StorageKeyKeeper {
  readonly #folder: string;

  /** `folder` is `$CREDENTIALS_DIRECTORY`. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  async open(): Promise<StorageKey> {
    const path = join(this.#folder, STORAGE_CREDENTIAL);
    const content = await readOwnFile(path, { maxBytes: LONGEST_FILE });
    if (!Buffer.isBuffer(content)) {
      throw unusable(path, content === undefined ? "it is not there" : content.reason);
    }
    if (content.length < KEY_BYTES) throw unusable(path, `it has fewer than ${KEY_BYTES} bytes`);
    const bytes = new Uint8Array(hkdfSync("sha256", content, "", "holdfast-store", KEY_BYTES));
    content.fill(0);
    return { bytes, protection: "credential" };
  }
}

/** Dependencies of `FileKeyKeeper`. */
export interface FileKeyKeeperDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: Random;
  /** Exists. */
  readonly folder: string;
}

/** A key in a file of its own, mode 0600: it protects a copy of the other files, and nothing else. */
export class FileKeyKeeper implements StorageKeyKeeper {
  readonly #deps: FileKeyKeeperDeps;

  constructor(deps: FileKeyKeeperDeps) {
    this.#deps = deps;
  }

  async open(): Promise<StorageKey> {
    const { clock, log, random, folder } = this.#deps;
    const path = join(folder, STORAGE_KEY_FILE);
    const content = await readOwnFile(path, {
      maxBytes: LONGEST_FILE,
      onReadable: () => log.warn("Others may have read the storage key: chmod 0600", { path }),
    });
    const found = Buffer.isBuffer(content) ? keyOf(content) : content;
    if (found instanceof Uint8Array) return { bytes: found, protection: "file" };
    if (found !== undefined) {
      const target = await setAside(path, found.why, clock.now());
      log.error("The storage key cannot be used and was set aside", { path: target, reason: found.reason });
    }
    const bytes = random.bytes(KEY_BYTES);
    const line = Buffer.from(`holdfast-storage-key 1 ${Buffer.from(bytes).toString("base64")}\n`);
    await writeFileAtomic(path, line, 0o600);
    return { bytes, protection: "file" };
  }
}

function keyOf(content: Buffer): Uint8Array | { readonly why: "damaged"; readonly reason: string } {
  const text = KEY_LINE.exec(content.toString("latin1"))?.groups?.key;
  const bytes = text === undefined ? undefined : decodeBase64(text, "base64");
  return bytes?.length === KEY_BYTES ? bytes : { why: "damaged", reason: "it is no storage key" };
}

function unusable(path: string, reason: string): AgentError {
  return new AgentError("FAILED_PRECONDITION", `the systemd credential ${path} cannot be used: ${reason}`);
}
