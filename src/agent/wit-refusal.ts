/** Remembers that the server signs no WIT-SVIDs: a server learns it only by starting anew, so it is asked rarely. */
import type { Clock } from "../lib/clock.ts";
import type { Watchable } from "../lib/watchable.ts";

/** A server may be another one behind a connection that looks the same: then this is how soon it is found out. */
const ASK_AGAIN_MS = 60_000;

/** A refusal counts for one connection, and not for ever. */
export class WitRefusal {
  readonly #clock: Clock;
  #last: { readonly generation: number; readonly at: number } | undefined;
  /** Of the connection; set once there is one. */
  generation: Pick<Watchable<number>, "value"> = { value: 0 };

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The server answered `UNIMPLEMENTED`. */
  remember(): void {
    this.#last = { generation: this.generation.value, at: this.#clock.monotonic() };
  }

  /** The server signed. */
  forget(): void {
    this.#last = undefined;
  }

  /** Whether not to ask now. */
  get holds(): boolean {
    const last = this.#last;
    return (
      last !== undefined &&
      last.generation === this.generation.value &&
      this.#clock.monotonic() - last.at < ASK_AGAIN_MS
    );
  }
}
