/** Attests callers: once for all calls of one connection that came in the same turn of the event loop. */
import { AgentError } from "../lib/errors.ts";
import type { Watchable } from "../lib/watchable.ts";
import type { AnswerTurns } from "./answer-turns.ts";
import type { ConnectedPeer } from "./peer.ts";
import type { IdentitySource, WorkloadUpdate } from "./ports.ts";

/** A call that waits for attestation; told of its outcome unless it has left. Neither may throw. */
export interface Attestee {
  /** What the caller may have. `isLate`: some time has passed since it was found out who it is. */
  attested(cell: Watchable<WorkloadUpdate>, isLate: boolean): void;
  failed(error: unknown): void;
}

type Source = Pick<IdentitySource<ConnectedPeer>, "attest" | "subscribe">;

/** Calls that share what is found out about their caller. */
interface Batch {
  readonly peer: ConnectedPeer;
  readonly calls: Set<Attestee>;
  /** Aborts the attestation; absent until it has begun. */
  attesting?: AbortController;
}

/**
 * Attestation begins after each of its calls came: a call that comes when it has begun is attested anew, so that
 * nothing that is told to a call was read before that call was made.
 */
export class Attestations {
  readonly #source: Source;
  readonly #turns: AnswerTurns;
  readonly #waiting = new Map<ConnectedPeer, Batch>();
  #scheduled = false;

  constructor(source: Source, turns: AnswerTurns) {
    this.#source = source;
    this.#turns = turns;
  }

  /** Returns the function by which a call leaves; the attestation is given up when all have. */
  join(peer: ConnectedPeer, call: Attestee): () => void {
    let batch = this.#waiting.get(peer);
    if (batch === undefined) {
      batch = { peer, calls: new Set() };
      this.#waiting.set(peer, batch);
    }
    const { calls } = batch;
    calls.add(call);
    if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(this.#begin);
    }
    return () => {
      if (!calls.delete(call) || calls.size > 0) return;
      batch.attesting?.abort(new AgentError("CANCELLED", "the call has ended"));
    };
  }

  readonly #begin = (): void => {
    this.#scheduled = false;
    const batches = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const batch of batches) void this.#attest(batch);
  };

  async #attest(batch: Batch): Promise<void> {
    const { peer, calls } = batch;
    try {
      if (calls.size === 0) return;
      batch.attesting = new AbortController();
      const cell = this.#source.subscribe(await this.#source.attest(peer, batch.attesting.signal));
      for (const call of take(calls)) this.#turns.run(peer.uid, (isLate) => call.attested(cell, isLate));
    } catch (error) {
      for (const call of take(calls)) call.failed(error);
    } finally {
      peer.rest();
    }
  }
}

/** Each in turn, unless it leaves before. */
function* take(calls: Set<Attestee>): Generator<Attestee> {
  for (const call of calls) {
    calls.delete(call);
    yield call;
  }
}
