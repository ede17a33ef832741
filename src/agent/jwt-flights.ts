/** Signings in progress: equal requests share one, and one that nobody waits for any more is given up. */
import type { Clock } from "../lib/clock.ts";
import { AgentError, publicError } from "../lib/errors.ts";

/** How long a signing may take, with all its tries, in milliseconds; SPIRE's agents give up then as well. */
const LONGEST_MS = 30_000;

interface Flight<T> {
  readonly owner: string;
  readonly outcome: Promise<T>;
  readonly controller: AbortController;
  waiting: number;
}

/** Keyed by what is asked for, no more than so many at a time: of each owner's, the newest go first. */
export class Flights<T> {
  readonly #clock: Clock;
  readonly #most: number;
  readonly #flights = new Map<string, Flight<T>>();
  /** The keys of each owner's flights, the oldest first. */
  readonly #owned = new Map<string, Set<string>>();

  constructor(clock: Clock, most: number) {
    this.#clock = clock;
    this.#most = most;
  }

  /** How many there are now. */
  get size(): number {
    return this.#flights.size;
  }

  /**
   * Runs `work`, or joins the run for this key, until the signal aborts; then rejects with its reason. Rejects with
   * `UNAVAILABLE` when there is no room, and nobody has more than this owner.
   */
  async join(key: string, owner: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    let flight = this.#flights.get(key);
    if (flight === undefined) {
      if (!this.#makeRoom(owner)) throw tooMany();
      flight = this.#start(key, owner, work);
    }
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

  /** Runs `work` unless there is a run for this key, or no room; whoever comes meanwhile joins it. */
  behind(key: string, owner: string, work: (signal: AbortSignal) => Promise<T>): void {
    if (this.#flights.has(key) || !this.#makeRoom(owner)) return;
    const flight = this.#start(key, owner, work);
    flight.waiting++;
  }

  /** Gives up all of them. */
  abort(reason: AgentError): void {
    for (const [key, flight] of this.#flights) this.#end(key, flight, reason);
  }

  /** Ends the newest flight of who has most of them if need be. False: that is the owner itself. */
  #makeRoom(owner: string): boolean {
    if (this.#flights.size < this.#most) return true;
    let [whose, keys] = [owner, this.#owned.get(owner) ?? new Set<string>()];
    for (const [other, owned] of this.#owned) if (owned.size > keys.size) [whose, keys] = [other, owned];
    if (whose === owner) return false;
    const newest = Array.from(keys).at(-1) ?? "";
    const flight = this.#flights.get(newest);
    if (flight !== undefined) this.#end(newest, flight, tooMany());
    return true;
  }

  #start(key: string, owner: string, work: (signal: AbortSignal) => Promise<T>): Flight<T> {
    const controller = new AbortController();
    const late = new AgentError("UNAVAILABLE", `no answer within ${LONGEST_MS} ms`);
    const cancelTimer = this.#clock.after(LONGEST_MS, () => controller.abort(late));
    const outcome = work(controller.signal);
    const flight: Flight<T> = { owner, outcome, controller, waiting: 0 };
    this.#flights.set(key, flight);
    const owned = this.#owned.get(owner);
    if (owned === undefined) this.#owned.set(owner, new Set([key]));
    else owned.add(key);
    const landed = (): void => {
      cancelTimer();
      this.#forget(key, flight);
    };
    outcome.then(landed, landed);
    return flight;
  }

  #end(key: string, flight: Flight<T>, reason: AgentError): void {
    this.#forget(key, flight);
    flight.controller.abort(reason);
  }

  #forget(key: string, flight: Flight<T>): void {
    if (this.#flights.get(key) !== flight) return;
    this.#flights.delete(key);
    const owned = this.#owned.get(flight.owner);
    owned?.delete(key);
    if (owned?.size === 0) this.#owned.delete(flight.owner);
  }
}

function tooMany(): AgentError {
  return publicError("UNAVAILABLE", "too many JWT-SVIDs are being signed");
}
