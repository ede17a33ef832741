/** Numbers that grow with each change, per agent. */
import type { SpiffeId } from "../../spiffe/id.ts";

/** Agents that a change concerns. */
export type Concerned = ReadonlySet<SpiffeId> | "all";

/** Agents with a number of their own; past it all get the same, which at worst makes them sync once. */
const MAX_OWN = 200_000;

/** Revisions start at a number from the clock, so that those of two runs of a server differ. */
export class Revisions {
  #last: bigint;
  #all: bigint;
  readonly #own = new Map<SpiffeId, bigint>();

  /** `now` in milliseconds; a thousand changes a millisecond fit in between. */
  constructor(now: number) {
    this.#last = BigInt(Math.max(1, Math.floor(now))) * 1_000n;
    this.#all = this.#last;
  }

  /** The agent's revision. */
  of(agentId: SpiffeId): bigint {
    return this.#own.get(agentId) ?? this.#all;
  }

  /** Raises the revision of those concerned. */
  raise(agents: Concerned): void {
    this.#last++;
    if (agents === "all" || this.#own.size > MAX_OWN) {
      this.#all = this.#last;
      this.#own.clear();
      return;
    }
    for (const agentId of agents) this.#own.set(agentId, this.#last);
  }
}
