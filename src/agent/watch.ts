/** Follows our own server's announcements of changes, so that nothing needs to poll; other servers have none. */
import type { Clock } from "../lib/clock.ts";
import { errorCode, errorText } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import type { Random } from "../lib/random.ts";
import type { AgentHealth } from "./health.ts";
import { retryDelay } from "./retry-delay.ts";
import type { ServerClient } from "./server-client.ts";
import type { ServerLink } from "./server-link.ts";
import { Wakeup } from "./wakeup.ts";

/** Dependencies of `Watcher`. */
export interface WatcherDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly health: AgentHealth;
  readonly link: ServerLink;
  /** Something changed: sync after `waitMs`. */
  readonly onChange: (waitMs: number) => void;
}

/** The server may spread a change over a second; more is a mistake. */
const MAX_SPREAD_MS = 10_000;
/** The stream ends every few minutes by design; not all agents should come back at once. */
const RECONNECT_SPREAD_MS = 1_000;
const RETRY_INTERVAL_MS = 5_000;
/** A server without announcements may have been replaced meanwhile, behind a connection that looks the same. */
const ASK_AGAIN_MS = 600_000;

/** Keeps one stream open. `live` is true from its first message to its end: while it is, the server will tell. */
export class Watcher {
  readonly #deps: WatcherDeps;
  readonly #wakeup: Wakeup;
  #live = false;
  #seen: { readonly entries: bigint; readonly bundle: bigint } | undefined;

  constructor(deps: WatcherDeps) {
    this.#deps = deps;
    this.#wakeup = new Wakeup(deps.clock);
  }

  /** Whether changes are being announced. */
  get live(): boolean {
    return this.#live;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, log, link } = this.#deps;
    const unsubscribe = link.generation.subscribe(() => this.#wakeup.wake());
    try {
      for (let failures = 0, told = false; ; ) {
        const generation = link.generation.value;
        if (link.identity === undefined) {
          await this.#nextConnection(generation, signal);
          continue;
        }
        try {
          await link.use((client) => this.#follow(client, signal), signal);
          failures = 0;
          await clock.sleep(RECONNECT_SPREAD_MS * random.unit(), signal);
        } catch (error) {
          signal.throwIfAborted();
          if (errorCode(error) === "UNIMPLEMENTED") {
            if (!told) log.info("The server announces no changes; polling");
            told = await this.#nextConnection(Math.max(generation, link.generation.value), signal, ASK_AGAIN_MS);
            continue;
          }
          failures++;
          log.debug("Lost the stream of changes", { error: errorText(error) });
          await clock.sleep(
            retryDelay(error, failures, RETRY_INTERVAL_MS, () => random.unit()),
            signal,
          );
        }
      }
    } finally {
      unsubscribe();
    }
  }

  /** Waits until the connection is another one. True when it is still the same after `atMostMs`. */
  async #nextConnection(
    generation: number,
    signal: AbortSignal,
    atMostMs = Number.POSITIVE_INFINITY,
  ): Promise<boolean> {
    const { clock, link } = this.#deps;
    const end = clock.monotonic() + atMostMs;
    while (link.generation.value === generation) {
      const left = end - clock.monotonic();
      if (left <= 0) return true;
      await this.#wakeup.wait(Math.min(3_600_000, left), signal);
    }
    return false;
  }

  async #follow(client: ServerClient, signal: AbortSignal): Promise<void> {
    const { random, health, onChange } = this.#deps;
    try {
      for await (const message of client.watchAuthorized(signal)) {
        if (!this.#live) {
          this.#live = true;
          health.set({ watching: true });
        }
        const { entriesRevision: entries, bundleRevision: bundle } = message;
        if (message.heartbeat || (this.#seen?.entries === entries && this.#seen.bundle === bundle)) continue;
        this.#seen = { entries, bundle };
        onChange(Math.min(MAX_SPREAD_MS, message.spreadMs) * random.unit());
      }
    } finally {
      if (this.#live) {
        this.#live = false;
        health.set({ watching: false });
        // What was announced in the meantime is lost: look, but not all agents at once.
        onChange(RECONNECT_SPREAD_MS * random.unit());
      }
    }
  }
}
