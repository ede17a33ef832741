/** Shares the event loop between users: what one of them wants beyond a little waits, so that others need not. */
import type { Clock } from "../lib/clock.ts";

/** Pieces of work of one user that begin at once, within `WINDOW_MS`. */
const AT_ONCE = 16;
const WINDOW_MS = 50;
/** A piece that takes longer counts as several. */
const PIECE_MS = 1;
/** How long one turn may work for those who had to wait, in milliseconds. */
const SLICE_MS = 5;
/** Pieces that had to wait and begin in a turn of the event loop, of all users together. */
const PER_TURN = 16;
/** The same in a turn that let a connection in, for there may be more behind it, and the system hands over one a turn. */
const PER_HURRIED_TURN = 4;
/** So many such turns in a row are a flood, whose end others wait for: then one piece begins in every fourth turn. */
const FLOOD_TURNS = 64;
const FLOOD_PAUSE = 4;

/** Work in order for each user, users one after the other. */
export class FairTurns {
  readonly #clock: Clock;
  /** In this window, by user. */
  readonly #begun = new Map<number, number>();
  /** By user; whose turn it is, is first. */
  readonly #waiting = new Map<number, Set<() => void>>();
  #windowEnd = Number.NEGATIVE_INFINITY;
  #scheduled = false;
  #hurried = false;
  /** Hurried turns in a row. */
  #rush = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Runs `work`, which must not throw, at once or in a later turn. */
  run(uid: number, work: () => void): void {
    const queue = this.#waiting.get(uid);
    if (queue !== undefined) {
      queue.add(work);
      return;
    }
    const begun = this.#count(uid);
    if (begun >= AT_ONCE) {
      this.#waiting.set(uid, new Set([work]));
      this.#schedule();
      return;
    }
    const start = this.#clock.monotonic();
    this.#begun.set(uid, begun + 1);
    work();
    const more = Math.floor((this.#clock.monotonic() - start) / PIECE_MS) - 1;
    if (more > 0) this.#begun.set(uid, (this.#begun.get(uid) ?? 0) + more);
  }

  /** Says that a connection came in this turn. */
  hurry(): void {
    this.#hurried = true;
    this.#schedule();
  }

  #count(uid: number): number {
    const now = this.#clock.monotonic();
    if (now >= this.#windowEnd) {
      this.#windowEnd = now + WINDOW_MS;
      this.#begun.clear();
    }
    return this.#begun.get(uid) ?? 0;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    this.#scheduled = false;
    this.#rush = this.#hurried ? this.#rush + 1 : 0;
    this.#hurried = false;
    const end = this.#clock.monotonic() + SLICE_MS;
    for (let left = this.#share(); left > 0; left--) {
      const [next] = this.#waiting;
      if (next === undefined) return;
      this.#serve(...next);
      if (this.#clock.monotonic() >= end) break;
    }
    if (this.#waiting.size > 0) this.#schedule();
  };

  #share(): number {
    if (this.#rush === 0) return PER_TURN;
    if (this.#rush <= FLOOD_TURNS) return PER_HURRIED_TURN;
    return this.#rush % FLOOD_PAUSE === 0 ? 1 : 0;
  }

  #serve(uid: number, queue: Set<() => void>): void {
    this.#waiting.delete(uid);
    const [work] = queue;
    if (work === undefined) return;
    queue.delete(work);
    if (queue.size > 0) this.#waiting.set(uid, queue);
    work();
  }
}
