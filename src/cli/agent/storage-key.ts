/** Chooses what keeps the key by which SVIDs are stored: the configuration's word, or the best that this node has. */
import { accessSync, constants, existsSync } from "node:fs";
import { join } from "node:path";
import {
  CredentialKeyKeeper,
  FileKeyKeeper,
  STORAGE_CREDENTIAL,
  type StorageKeyKeeper,
} from "../../agent/store/storage-key.ts";
import { TPM_KEY_FILE, TpmKeyKeeper } from "../../agent/store/tpm-key.ts";
import { TpmDevice } from "../../attestors/tpm/device/tpm-device.ts";
import type { AgentConfig } from "../../config/agent-config.ts";
import type { Clock } from "../../lib/clock.ts";
import { publicError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import type { NativeAddon } from "../../lib/native.ts";
import type { Random } from "../../lib/random.ts";
import { defaultTcti } from "./tpm.ts";

/** What the keepers are made with. */
export interface StorageKeyDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: Random;
  readonly native: NativeAddon;
  readonly env: Readonly<Record<string, string | undefined>>;
}

const TPM_TIMEOUT_MS = 30_000;

/** Undefined where SVIDs are kept in memory. Throws `FAILED_PRECONDITION` for a credential that no service manager gives. */
export function storageKeyKeeper(config: AgentConfig, deps: StorageKeyDeps): StorageKeyKeeper | undefined {
  const { dataDir: folder, storage } = config;
  const credentials = deps.env.CREDENTIALS_DIRECTORY;
  const tpm = (): StorageKeyKeeper =>
    new TpmKeyKeeper({
      ...deps,
      tpm: new TpmDevice({
        clock: deps.clock,
        opener: deps.native,
        tcti: storage.tcti ?? defaultTcti(),
        timeoutMs: TPM_TIMEOUT_MS,
      }),
      folder,
      pcrs: storage.pcrs,
    });
  switch (storage.protection) {
    case "memory":
      return undefined;
    case "tpm":
      return tpm();
    case "credential":
      if (credentials === undefined) {
        throw publicError(
          "FAILED_PRECONDITION",
          `agent.storage: credential needs a service manager that gives one: LoadCredentialEncrypted=${STORAGE_CREDENTIAL}`,
        );
      }
      return new CredentialKeyKeeper(credentials);
    case "file":
      return new FileKeyKeeper({ ...deps, folder });
    case "auto":
      // Whoever keeps the agent's own key off the disk wants its workloads' keys there even less.
      if (config.plugins.keyManager.name === "memory") return undefined;
      // What a TPM sealed once is not given to a weaker keeper because the TPM is away today.
      if (existsSync(join(folder, TPM_KEY_FILE)) || isTpmUsable(storage.tcti, deps)) return tpm();
      if (credentials !== undefined && existsSync(join(credentials, STORAGE_CREDENTIAL))) {
        return new CredentialKeyKeeper(credentials);
      }
      return new FileKeyKeeper({ ...deps, folder });
  }
}

function isTpmUsable(tcti: string | undefined, { native, log }: StorageKeyDeps): boolean {
  const path = /^device:(.+)$/.exec(tcti ?? defaultTcti())?.[1];
  if (path === undefined) return native.tpmUnavailable() === null;
  if (!existsSync(path)) return false;
  const why = native.tpmUnavailable() ?? refusedAccess(path);
  if (why === undefined) return true;
  log.warn("The TPM cannot be used to protect what is stored", { path, reason: why });
  return false;
}

function refusedAccess(path: string): string | undefined {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return undefined;
  } catch {
    return "the agent may not use it; add its user to the group that owns it (tss on Debian)";
  }
}
