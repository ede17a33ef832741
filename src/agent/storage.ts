/**
 * Keeps the agent SVID, its key and the bundle across restarts, in one file, `agent-data.json`.
 *
 * With KeyManager `disk` the file lies in that plugin's `directory`, because it holds the key; with `memory` it lies
 * in `data_dir` and holds the bundle only, so that a restart attests anew but trusts whom it trusted.
 */
import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { setAside, writeFileAtomic } from "../lib/atomic-file.ts";
import type { Clock } from "../lib/clock.ts";
import { AgentError } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import type { TrustDomain } from "../spiffe/id.ts";
import { type AgentData, decodeAgentData, encodeAgentData } from "./agent-data.ts";
import { isOurs, isWritableByOthers, readOwnFile } from "./store/own-file.ts";

/** Where the agent keeps what must survive a restart. */
export interface AgentStorage {
  /** What was saved last; undefined when there is nothing that can be used. Throws `FAILED_PRECONDITION` when the place itself is unusable. */
  load(): Promise<AgentData | undefined>;
  /** Replaces what is stored, all or nothing. Throws `RESOURCE_EXHAUSTED` on a full disk, else `FAILED_PRECONDITION`. */
  save(data: AgentData): Promise<void>;
}

/** Dependencies and options of `FileAgentStorage`. */
export interface FileAgentStorageOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Created (0700) when missing. */
  readonly directory: string;
  readonly trustDomain: TrustDomain;
  /** Whether the SVID and its key are stored. */
  readonly keepKey: boolean;
}

/** The file's name. */
export const AGENT_DATA_FILE = "agent-data.json";
/** Longest file that is read: a bundle of a thousand authorities fits. */
export const MAX_AGENT_DATA_BYTES = 16 * 1024 * 1024;

/** One file, mode 0600. A file that cannot be used is set aside under a name that says why, and reported. */
export class FileAgentStorage implements AgentStorage {
  readonly #options: FileAgentStorageOptions;
  readonly #path: string;
  /** Saves run one after the other. */
  #last: Promise<void> = Promise.resolve();

  constructor(options: FileAgentStorageOptions) {
    this.#options = options;
    this.#path = join(options.directory, AGENT_DATA_FILE);
  }

  async load(): Promise<AgentData | undefined> {
    const { clock, log, directory, trustDomain, keepKey } = this.#options;
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      const folder = await stat(directory);
      if (!isOurs(folder) || isWritableByOthers(folder)) {
        log.warn("Others may write to the data folder, and so remove what the agent stores", { path: directory });
      }
      const content = await readOwnFile(this.#path, {
        maxBytes: MAX_AGENT_DATA_BYTES,
        onReadable: () => {
          if (keepKey)
            log.warn("Others may have read the agent's key: evict it and let it join anew", { path: this.#path });
        },
      });
      if (content === undefined) return undefined;
      const data = Buffer.isBuffer(content) ? decodeAgentData(content.toString("utf8"), trustDomain) : content;
      if (!("why" in data)) return data;
      const target = await setAside(this.#path, data.why, clock.now());
      log.error("Stored agent data cannot be used and was set aside", { path: target, reason: data.reason });
      return undefined;
    } catch (error) {
      throw new AgentError("FAILED_PRECONDITION", `cannot use the data folder ${directory}`, { cause: error });
    }
  }

  save(data: AgentData): Promise<void> {
    const text = encodeAgentData(data, this.#options.trustDomain, this.#options.keepKey);
    const write = this.#last.then(() => this.#write(text));
    this.#last = write.catch(() => {});
    return write;
  }

  async #write(text: string): Promise<void> {
    try {
      await writeFileAtomic(this.#path, Buffer.from(text), 0o600);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      const full = code === "ENOSPC" || code === "EDQUOT";
      throw new AgentError(full ? "RESOURCE_EXHAUSTED" : "FAILED_PRECONDITION", `cannot write ${this.#path}`, {
        cause: error,
      });
    }
  }
}
