/** SIGHUP: the configuration is read anew, what can change in a running program changes, and the log says what cannot. */
import { changedKeys } from "../config/changes.ts";
import type { Source } from "../config/load.ts";
import type { LogConfig } from "../config/shared-config.ts";
import { errorText } from "../lib/errors.ts";
import type { RootLogger } from "../lib/pino-logger.ts";
import type { ServiceManager } from "./service-manager.ts";

/** Keys of `agent` and `server` that change at once. */
const SWAPPED: ReadonlySet<string> = new Set(["log_level", "log_file"]);

/** What a program reads of its configuration, then and now. */
export interface Configuration {
  readonly source: Source;
  readonly log: LogConfig;
}

/** What a reload works on. */
export interface ReloadDeps {
  readonly name: "agent" | "server";
  readonly log: Pick<RootLogger, "info" | "warn" | "error" | "setLevel" | "reopen">;
  readonly manager: Pick<ServiceManager, "reloading" | "reloaded">;
  /** `CLOCK_MONOTONIC` in microseconds. */
  monotonicUs(): bigint;
  /** Reads and checks the configuration. Throws with every problem. */
  load(): Configuration;
}

/** Reads the configuration as often as it is told to. */
export class Reloader {
  readonly #deps: ReloadDeps;
  /** What the program was started with, but for what was swapped since. */
  readonly #started: Configuration;
  #log: LogConfig;

  constructor(deps: ReloadDeps, started: Configuration) {
    this.#deps = deps;
    this.#started = started;
    this.#log = started.log;
  }

  /** Never throws: with a configuration that is not valid everything stays as it is. */
  reload(): void {
    const { manager, log } = this.#deps;
    manager.reloading(this.#deps.monotonicUs());
    try {
      this.#adopt(this.#deps.load());
    } catch (error) {
      log.error("The configuration was not reloaded; the one before stays", { error: errorText(error) });
    } finally {
      manager.reloaded();
    }
  }

  #adopt(next: Configuration): void {
    const { name, log } = this.#deps;
    const swapped: string[] = [];
    if (next.log.file !== this.#log.file) {
      log.reopen(next.log.file ?? null);
      swapped.push("log_file");
    }
    if (next.log.level !== this.#log.level) {
      log.setLevel(next.log.level);
      swapped.push("log_level");
    }
    this.#log = next.log;
    log.info("The configuration was reloaded", { changed: swapped });
    const waiting = changedKeys(this.#started.source, next.source, name, this.#fixed());
    if (waiting.length > 0) log.warn("Some changes need a restart", { keys: waiting });
  }

  /** What no restart would change, since the command line says it or it was swapped. */
  #fixed(): ReadonlySet<string> {
    return new Set([...SWAPPED, ...Object.keys(this.#started.source.flags ?? {})]);
  }
}
