/** Keeps what workloads have across restarts: a sealed file, written in the background, never on the path of a call. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { pruneAside, setAside, syncFolder, writeFileAtomic } from "../../lib/atomic-file.ts";
import type { Clock } from "../../lib/clock.ts";
import { errorText } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import type { Random } from "../../lib/random.ts";
import type { TrustDomain } from "../../spiffe/id.ts";
import type { Unusable } from "../agent-data.ts";
import type { AgentHealth } from "../health.ts";
import { Wakeup } from "../wakeup.ts";
import { readOwnFile } from "./own-file.ts";
import { type FileRole, openSealed, sealFile } from "./sealed-file.ts";
import type { KeyProtection, StorageKey } from "./storage-key.ts";
import { WorkloadCodec, type WorkloadSnapshot } from "./workloads.ts";

/** Dependencies and options of `WorkloadStore`. */
export interface WorkloadStoreDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly health: AgentHealth;
  /** Exists. */
  readonly folder: string;
  readonly trustDomain: TrustDomain;
  readonly key: StorageKey;
  /** What to write, as it is at that moment. */
  readonly snapshot: () => WorkloadSnapshot;
}

/** The file's name. */
export const WORKLOADS_FILE = "workloads.sealed";
/** Ten thousand entries with their SVIDs take 8 MB; a file that is longer than this is not ours. */
const MAX_BYTES = 256 * 1024 * 1024;
/** Files that could not be used and are kept for whoever wants to know why. */
const SET_ASIDE = 3;
const LEAST_PAUSE_MS = 1_000;
/** Writing takes at most this share of the time: of large stores not every change is worth a writing of its own. */
const WRITING_SHARE = 0.02;
const LONGEST_PAUSE_MS = 60_000;

/** One file, mode 0600. */
export class WorkloadStore {
  readonly #deps: WorkloadStoreDeps;
  readonly #wakeup: Wakeup;
  readonly #codec: WorkloadCodec;
  readonly #path: string;
  readonly #role: FileRole;
  #dirty = false;
  /** Writings and removals, one after the other. */
  #last: Promise<void> = Promise.resolve();

  constructor(deps: WorkloadStoreDeps) {
    this.#deps = deps;
    this.#wakeup = new Wakeup(deps.clock);
    this.#codec = new WorkloadCodec(deps.log);
    this.#path = join(deps.folder, WORKLOADS_FILE);
    this.#role = { role: "workloads", trustDomain: deps.trustDomain };
  }

  /** What protects the file's key. */
  get protection(): KeyProtection {
    return this.#deps.key.protection;
  }

  /** What was written last; undefined when there is nothing that can be used, which is set aside and reported. Never throws. */
  async load(): Promise<WorkloadSnapshot | undefined> {
    const { log, clock, health } = this.#deps;
    try {
      const found = await this.#read();
      if (found === undefined || !("why" in found)) return found;
      const target = await setAside(this.#path, found.why, clock.now());
      log.error("Stored SVIDs cannot be used and were set aside", { path: target, reason: found.reason });
      await pruneAside(this.#path, SET_ASIDE);
      health.report("svid_storage", `stored SVIDs were set aside as ${target}: ${found.reason}`);
    } catch (error) {
      log.error("Stored SVIDs cannot be read", { path: this.#path, error: errorText(error) });
      health.report("svid_storage", `stored SVIDs cannot be read: ${errorText(error)}`);
    }
    return undefined;
  }

  /** Says that there is something new to write. */
  changed(): void {
    this.#dirty = true;
    this.#wakeup.wake();
  }

  /** Writes what is new, with pauses; what is still to be written when the signal aborts is written then. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    try {
      for (;;) {
        await this.#wakeup.wait(LONGEST_PAUSE_MS, signal);
        if (!this.#dirty) continue;
        const before = clock.monotonic();
        await this.#save();
        const took = clock.monotonic() - before;
        await clock.sleep(Math.min(LONGEST_PAUSE_MS, Math.max(LEAST_PAUSE_MS, took / WRITING_SHARE)), signal);
      }
    } finally {
      if (this.#dirty) await this.#save();
      await this.#last;
    }
  }

  /** Removes what is stored. Never throws: that it could not is reported. */
  async clear(): Promise<void> {
    const { log, health, folder } = this.#deps;
    this.#dirty = false;
    try {
      await this.#after(async () => {
        await rm(this.#path, { force: true });
        await syncFolder(folder);
      });
    } catch (error) {
      log.error("Stored SVIDs could not be removed", { path: this.#path, error: errorText(error) });
      health.report("svid_storage", `stored SVIDs could not be removed: ${errorText(error)}`);
    }
  }

  async #read(): Promise<WorkloadSnapshot | Unusable | undefined> {
    const { key, trustDomain, log } = this.#deps;
    const file = await readOwnFile(this.#path, {
      maxBytes: MAX_BYTES,
      onReadable: () => log.warn("Others may read the sealed SVIDs", { path: this.#path }),
    });
    if (!Buffer.isBuffer(file)) return file;
    const content = openSealed(file, key.bytes, this.#role);
    if (!Buffer.isBuffer(content)) return content;
    try {
      return this.#codec.decode(content, trustDomain);
    } catch (error) {
      return { why: "damaged", reason: errorText(error) };
    } finally {
      content.fill(0);
    }
  }

  async #save(): Promise<void> {
    const { log, health, key, random, snapshot } = this.#deps;
    this.#dirty = false;
    try {
      await this.#after(async () => {
        const sealed = await sealFile(this.#codec.encode(snapshot()), key.bytes, this.#role, random);
        await writeFileAtomic(this.#path, sealed, 0o600);
      });
      health.resolve("svid_storage");
    } catch (error) {
      this.#dirty = true;
      const text = `SVIDs cannot be stored, and a restart without the server would lose them: ${errorText(error)}`;
      if (health.report("svid_storage", text)) log.error("Could not store SVIDs", { error: errorText(error) });
    }
  }

  #after(work: () => Promise<void>): Promise<void> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }
}
