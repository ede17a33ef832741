/** A clock that only moves when told to, so that a test of hours runs in milliseconds and always the same way. */

import type { Clock } from "../../src/lib/clock.ts";
import { turn } from "../../src/lib/turn.ts";

interface Timer {
  readonly due: number;
  readonly order: number;
  readonly sleeper: boolean;
  fire(): void;
}

/** Turns of the event loop given to promise chains after each firing. */
const SETTLE_TURNS = 10;
/** Real milliseconds granted to loops that do real I/O or crypto before they sleep again. */
const REAL_LIMIT_MS = 2_000;

/** `advance` fires what falls due, in order, and waits until the loops that it woke are parked in a sleep again (or ended). */
export class FakeClock implements Clock {
  #now: number;
  #monotonic = 0;
  #order = 0;
  readonly #timers = new Set<Timer>();
  /** Told whenever a sleeper parks, so that waits need no polling. */
  readonly #parked = new Set<() => void>();

  /** Starts at the same moment in every run; give the real one where Node's TLS or OpenSSL judge certificates. */
  constructor(now: number = Date.UTC(2030, 0, 1)) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#monotonic;
  }

  /** How many `sleep` calls wait at this moment. */
  get sleepers(): number {
    let count = 0;
    for (const timer of this.#timers) if (timer.sleeper) count++;
    return count;
  }

  async sleep(ms: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const abort = (): void => {
        this.#timers.delete(timer);
        reject(signal.reason);
      };
      const timer = this.#add(ms, true, () => {
        signal.removeEventListener("abort", abort);
        resolve();
      });
      signal.addEventListener("abort", abort, { once: true });
      for (const told of Array.from(this.#parked)) told();
    });
  }

  after(ms: number, callback: () => void): () => void {
    const timer = this.#add(ms, false, callback);
    return () => this.#timers.delete(timer);
  }

  /** Moves the wall clock alone, as an operator or NTP does; nothing fires. */
  setWall(now: number): void {
    this.#now = now;
  }

  /** Moves time on by `ms`, firing everything due on the way, each at its own moment. */
  async advance(ms: number): Promise<void> {
    const end = this.#monotonic + ms;
    for (;;) {
      const next = this.#next(end);
      if (next === undefined) break;
      const before = this.sleepers;
      this.#moveTo(next.due);
      this.#timers.delete(next);
      next.fire();
      await settle();
      if (next.sleeper) await this.#regained(before);
    }
    this.#moveTo(end);
    await settle();
  }

  /** Waits until at least `count` loops sleep. Throws when they never do. */
  async parked(count: number): Promise<void> {
    if (!(await this.#wait(() => this.sleepers >= count))) {
      throw new Error(`only ${this.sleepers} of ${count} loops sleep`);
    }
    await settle();
  }

  #add(ms: number, sleeper: boolean, fire: () => void): Timer {
    const timer: Timer = { due: this.#monotonic + Math.max(0, ms), order: this.#order++, sleeper, fire };
    this.#timers.add(timer);
    return timer;
  }

  #next(end: number): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.due > end) continue;
      if (next === undefined || timer.due < next.due || (timer.due === next.due && timer.order < next.order)) {
        next = timer;
      }
    }
    return next;
  }

  #moveTo(monotonic: number): void {
    this.#now += monotonic - this.#monotonic;
    this.#monotonic = monotonic;
  }

  /** A woken loop sleeps again soon, or has ended: only then is the real limit spent. */
  async #regained(count: number): Promise<void> {
    await this.#wait(() => this.sleepers >= count);
  }

  async #wait(condition: () => boolean): Promise<boolean> {
    if (condition()) return true;
    return await new Promise<boolean>((resolve) => {
      const finish = (): void => {
        clearTimeout(limit);
        this.#parked.delete(check);
        resolve(condition());
      };
      const check = (): void => {
        if (condition()) finish();
      };
      const limit = setTimeout(finish, REAL_LIMIT_MS);
      this.#parked.add(check);
    });
  }
}

async function settle(): Promise<void> {
  for (let count = 0; count < SETTLE_TURNS; count++) await turn();
}
