/** Tells for how long the X.509-SVIDs outlast a server that is away, and where that is less than `outage_budget`. */
import { formatDuration } from "../config/duration.ts";
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import { coverKept } from "../spiffe/outage-cover.ts";
import type { Lifetime } from "../spiffe/rotation.ts";
import type { AgentHealth } from "./health.ts";

/** A moment's cover. Milliseconds. */
export interface Cover {
  /** The least remaining life of an SVID; absent where there is none. */
  readonly least?: number;
  /** The least life that SVIDs of the shortest lifetime have left before they are renewed; absent where there is none. */
  readonly kept?: number;
  /** How many have lifetimes that cannot keep the budget. */
  readonly short: number;
}

/** Judges SVIDs of these lifetimes against the budget. */
export function coverOf(lives: Iterable<Lifetime>, now: number, budgetMs: number): Cover {
  let [least, kept, short] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 0];
  for (const { notBefore, notAfter } of lives) {
    const keeps = coverKept(notAfter - notBefore, budgetMs);
    least = Math.min(least, Math.max(0, notAfter - now));
    kept = Math.min(kept, keeps);
    if (keeps < budgetMs) short++;
  }
  return Number.isFinite(least) ? { least, kept, short } : { short };
}

/** Dependencies and options of `CoverWatch`. */
export interface CoverWatchDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly health: AgentHealth;
  /** Of the SVIDs that the agent holds, its own among them. */
  readonly lives: () => Iterable<Lifetime>;
  /** 0: nothing is judged. */
  readonly budgetMs: number;
}

const INTERVAL_MS = 30_000;
const MINUTE_MS = 60_000;

/** Looks now and then; says once that the budget cannot be kept, and what would help. */
export class CoverWatch {
  readonly #deps: CoverWatchDeps;

  constructor(deps: CoverWatchDeps) {
    this.#deps = deps;
  }

  /** The cover at this moment. */
  get cover(): Cover {
    const { clock, lives, budgetMs } = this.#deps;
    return coverOf(lives(), clock.now(), budgetMs);
  }

  async run(signal: AbortSignal): Promise<void> {
    for (;;) {
      this.#judge();
      await this.#deps.clock.sleep(INTERVAL_MS, signal);
    }
  }

  #judge(): void {
    const { log, health, budgetMs } = this.#deps;
    const { kept, short } = this.cover;
    if (kept === undefined || short === 0) {
      health.resolve("outage_cover");
      return;
    }
    const wasShort = health.facts.value.problems.has("outage_cover");
    // In whole minutes, for lifetimes differ by seconds.
    const text = `${short} SVIDs live too short for outage_budget (${formatDuration(budgetMs)}): as little as ${inMinutes(kept)} is left before they are renewed, ${inMinutes(budgetMs - kept)} too little`;
    health.report("outage_cover", text);
    if (!wasShort) log.warn("The outage budget cannot be kept: set longer TTLs on the server", { reason: text });
  }
}

function inMinutes(ms: number): string {
  return formatDuration(ms < MINUTE_MS ? Math.floor(ms / 1_000) * 1_000 : Math.floor(ms / MINUTE_MS) * MINUTE_MS);
}
