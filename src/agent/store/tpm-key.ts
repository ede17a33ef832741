/** A storage key that only this machine's TPM gives back, while the PCRs that it is sealed to are as they were. */
import { join } from "node:path";
import { z } from "zod";
import { storageKey } from "../../attestors/tpm/device/templates.ts";
import type { TpmDevice } from "../../attestors/tpm/device/tpm-device.ts";
import { encodeSelection } from "../../attestors/tpm/structures/pcr-selection.ts";
import { pruneAside, setAside, writeFileAtomic } from "../../lib/atomic-file.ts";
import type { Clock } from "../../lib/clock.ts";
import { AgentError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import type { TpmKey, TpmKeyBlob } from "../../lib/native-tpm.ts";
import type { Random } from "../../lib/random.ts";
import { decodeBase64 } from "../../pki/base64.ts";
import type { Unusable } from "../agent-data.ts";
import { readOwnFile } from "./own-file.ts";
import { KEY_BYTES } from "./sealed-file.ts";
import type { StorageKey, StorageKeyKeeper } from "./storage-key.ts";

/** Dependencies and options of `TpmKeyKeeper`. */
export interface TpmKeyKeeperDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: Random;
  readonly tpm: Pick<TpmDevice, "use">;
  /** Exists. */
  readonly folder: string;
  /** PCRs of the SHA-256 bank, ascending; empty: the key is bound to the TPM alone. */
  readonly pcrs: readonly number[];
}

/** The name of the file. */
export const TPM_KEY_FILE = "storage-key.tpm";

const VERSION = 1;
const LONGEST_FILE = 16 * 1024;
const SET_ASIDE = 3;
const PARENT: TpmKey = { hierarchy: "owner", template: storageKey(), auth: "password" };

const fileShape = z.strictObject({
  version: z.literal(VERSION),
  pcrs: z.array(z.int().min(0).max(23)).max(24),
  public: z.string(),
  private: z.string(),
});

interface SealedKey {
  readonly pcrs: readonly number[];
  readonly blob: TpmKeyBlob;
}

/** One file with what the TPM sealed, of no use to another TPM. */
export class TpmKeyKeeper implements StorageKeyKeeper {
  readonly #deps: TpmKeyKeeperDeps;
  readonly #path: string;

  constructor(deps: TpmKeyKeeperDeps) {
    this.#deps = deps;
    this.#path = join(deps.folder, TPM_KEY_FILE);
  }

  /**
   * A key that the TPM does not give back any more, because the PCRs changed or it is another TPM, is set aside and a
   * new one made; a TPM that cannot be asked is an error, for it may be there at the next start.
   */
  async open(signal: AbortSignal): Promise<StorageKey> {
    const { log, clock, random, pcrs } = this.#deps;
    const found = await this.#read();
    const opened = found === undefined || "why" in found ? found : await this.#unseal(found, signal);
    if (opened instanceof Uint8Array) {
      // Sealed to others than is configured: loosened before an update of the firmware, or the configuration changed.
      if (String((found as SealedKey).pcrs) !== String(pcrs)) await this.seal(opened, pcrs, signal);
      return { bytes: opened, protection: "tpm" };
    }
    if (opened !== undefined) {
      const target = await setAside(this.#path, opened.why, clock.now());
      await pruneAside(this.#path, SET_ASIDE);
      log.error("The storage key cannot be used and was set aside; what was stored is lost", {
        path: target,
        reason: opened.reason,
      });
    }
    const bytes = random.bytes(KEY_BYTES);
    await this.seal(bytes, pcrs, signal);
    return { bytes, protection: "tpm" };
  }

  /** Seals the key to these PCRs as they are now, and stores it. */
  async seal(key: Uint8Array, pcrs: readonly number[], signal: AbortSignal): Promise<void> {
    const blob = await this.#deps.tpm.use((tpm) => tpm.seal(PARENT, selectionOf(pcrs), key), signal);
    const content: z.infer<typeof fileShape> = {
      version: VERSION,
      pcrs: [...pcrs],
      public: Buffer.from(blob.public).toString("base64"),
      private: Buffer.from(blob.private).toString("base64"),
    };
    await writeFileAtomic(this.#path, Buffer.from(`${JSON.stringify(content)}\n`), 0o600);
  }

  async #read(): Promise<SealedKey | Unusable | undefined> {
    const file = await readOwnFile(this.#path, { maxBytes: LONGEST_FILE });
    return Buffer.isBuffer(file) ? parseKeyFile(file.toString("utf8")) : file;
  }

  async #unseal({ pcrs, blob }: SealedKey, signal: AbortSignal): Promise<Uint8Array | Unusable> {
    try {
      const key = await this.#deps.tpm.use((tpm) => tpm.unseal(PARENT, blob, selectionOf(pcrs)), signal);
      const bytes = new Uint8Array(key);
      key.fill(0);
      return bytes.length === KEY_BYTES ? bytes : { why: "damaged", reason: "the TPM gave back no storage key" };
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal === undefined) {
        throw new AgentError("FAILED_PRECONDITION", `the storage key ${this.#path} cannot be had from the TPM`, {
          cause: error,
        });
      }
      return refusal;
    }
  }
}

/** Reads the file's text. Never throws for its content. */
export function parseKeyFile(text: string): SealedKey | Unusable {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { why: "damaged", reason: "it is not JSON" };
  }
  const version = typeof json === "object" && json !== null && "version" in json ? json.version : undefined;
  if (typeof version === "number" && version > VERSION) {
    return { why: "newer-version", reason: `it has version ${version}, we know ${VERSION}` };
  }
  const file = fileShape.safeParse(json);
  const blob = file.success && {
    public: decodeBase64(file.data.public, "base64"),
    private: decodeBase64(file.data.private, "base64"),
  };
  if (!blob || blob.public === undefined || blob.private === undefined) {
    return { why: "damaged", reason: "it has the wrong form" };
  }
  return { pcrs: file.data.pcrs, blob: { public: blob.public, private: blob.private } };
}

function selectionOf(pcrs: readonly number[]): Uint8Array {
  return encodeSelection(pcrs.length === 0 ? [] : [{ bank: "sha256", indices: pcrs }]);
}

/** TPM_RC_POLICY_FAIL; TPM_RC_INTEGRITY and TPM_RC_SIZE of a blob that another TPM made or somebody changed (Part 2, 6.6). */
const POLICY_FAIL = 0x1d;
const NOT_OURS: ReadonlySet<number> = new Set([0x1f, 0x15]);
/** Format-one codes name the parameter, handle or session as well. */
const FORMAT_ONE = 0x80;
const FORMAT_ONE_CODE = 0x3f;

/** What the TPM means by refusing a blob; undefined where it was not about the blob. */
function refusalOf(error: unknown): Unusable | undefined {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    const { rc } = cause as { readonly rc?: number };
    if (rc === undefined || (rc & 0xffff0000) !== 0 || (rc & FORMAT_ONE) === 0) continue;
    if ((rc & FORMAT_ONE_CODE) === POLICY_FAIL) {
      return { why: "foreign", reason: "the PCRs that it is sealed to have changed, as by an update of the firmware" };
    }
    if (NOT_OURS.has(rc & FORMAT_ONE_CODE)) return { why: "foreign", reason: "another TPM sealed it" };
  }
  return undefined;
}
