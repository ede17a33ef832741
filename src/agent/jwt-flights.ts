/** Signings in progress: equal requests share one, and one that nobody waits for any more is given up. */
import type { Clock } from "../lib/clock.ts";
import { AgentError } from "../lib/errors.ts";

/** How long a signing may take, with all its tries, in milliseconds; SPIRE's agents give up then as well. */
const LONGEST_MS = 30_000;

interface Flight<T> {
  readonly outcome: Promise<T>;
  readonly controller: AbortController;
  waiting: number;
}

/** Keyed by what is asked for. */
export class Flights<T> {
  readonly #clock: Clock;
  readonly #flights = new Map<string, Flight<T>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Runs `work`, or joins the run for this key, until the signal aborts; then rejects with its reason. */
  async join(key: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    const flight = this.#flights.get(key) ?? this.#start(key, work);
    flight.waiting++;
    let leave = (): void => {};
    const left = new Promise<never>((_resolve, reject) => {
      leave = () => reject(signal.reason);
    });
    signal.addEventListener("abort", leave, { once: true });
    try {
      return await Promise.race([flight.outcome, left]);
    } finally {
      signal.removeEventListener("abort", leave);
      flight.waiting--;
      if (flight.waiting === 0) this.#end(key, flight, new AgentError("CANCELLED", "nobody waits for it"));
    }
  }

  /** Runs `work` unless there is a run for this key; whoever comes meanwhile joins it. */
  behind(key: string, work: (signal: AbortSignal) => Promise<T>): void {
    if (this.#flights.has(key)) return;
    const flight = this.#start(key, work);
    flight.waiting++;
  }

  /** Gives up all of them. */
  abort(reason: AgentError): void {
    for (const [key, flight] of this.#flights) this.#end(key, flight, reason);
  }

  #start(key: string, work: (signal: AbortSignal) => Promise<T>): Flight<T> {
    const controller = new AbortController();
    const late = new AgentError("UNAVAILABLE", `no answer within ${LONGEST_MS} ms`);
    const cancelTimer = this.#clock.after(LONGEST_MS, () => controller.abort(late));
    const outcome = work(controller.signal);
    const flight: Flight<T> = { outcome, controller, waiting: 0 };
    this.#flights.set(key, flight);
    const landed = (): void => {
      cancelTimer();
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    };
    outcome.then(landed, landed);
    return flight;
  }

  #end(key: string, flight: Flight<T>, reason: AgentError): void {
    if (this.#flights.get(key) === flight) this.#flights.delete(key);
    flight.controller.abort(reason);
  }
}
