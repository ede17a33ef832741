/** Shares the time in which calls are answered between users: whoever has many answered waits, so that others need not. */
import type { Clock } from "../lib/clock.ts";

/** Milliseconds of one user's answers that are given at once, within `WINDOW_MS`. */
const AT_ONCE_MS = 4;
const WINDOW_MS = 50;
/** Milliseconds of answers in a turn of the event loop, of all users together, and of one before it is another's turn. */
const SLICE_MS = 4;
const SHARE_MS = 1;

/** An answer. `isLate`: it had to wait. Must not throw. */
export type Answering = (isLate: boolean) => void;

/** Answers in order for each user, users one after the other. Bounded by the calls that there may be. */
export class AnswerTurns {
  readonly #clock: Clock;
  /** Milliseconds in this window, by user. */
  readonly #spent = new Map<number, number>();
  /** By user; whose turn it is, is first. */
  readonly #waiting = new Map<number, Set<Answering>>();
  #windowEnd = Number.NEGATIVE_INFINITY;
  #scheduled = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Answers at once or in a later turn. */
  run(uid: number, answer: Answering): void {
    const queue = this.#waiting.get(uid);
    if (queue !== undefined) {
      queue.add(answer);
      return;
    }
    const start = this.#clock.monotonic();
    if (start >= this.#windowEnd) {
      this.#windowEnd = start + WINDOW_MS;
      this.#spent.clear();
    }
    const spent = this.#spent.get(uid) ?? 0;
    if (spent >= AT_ONCE_MS) {
      this.#waiting.set(uid, new Set([answer]));
      this.#schedule();
      return;
    }
    answer(false);
    this.#spent.set(uid, spent + this.#clock.monotonic() - start);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    this.#scheduled = false;
    const end = this.#clock.monotonic() + SLICE_MS;
    do {
      const [next] = this.#waiting;
      if (next === undefined) return;
      this.#serve(...next);
    } while (this.#clock.monotonic() < end);
    if (this.#waiting.size > 0) this.#schedule();
  };

  /** The user goes to the end of the line. */
  #serve(uid: number, queue: Set<Answering>): void {
    this.#waiting.delete(uid);
    const end = this.#clock.monotonic() + SHARE_MS;
    for (const answer of queue) {
      queue.delete(answer);
      answer(true);
      if (this.#clock.monotonic() >= end) break;
    }
    if (queue.size > 0) this.#waiting.set(uid, queue);
  }
}
