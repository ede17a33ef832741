/** Bounds the work on files that callers choose, because their file systems may never answer. */
import type { Clock } from "../../lib/clock.ts";
import { type AgentError, publicError } from "../../lib/errors.ts";

/** Node has few threads for files (see the agent's entry point); so many of them may work on callers' files. */
const MOST_AT_ONCE = 2;
/** And so many may be lost to file systems that do not answer. */
const MOST_STUCK = 8;
/** Callers of one user that may wait for their turn. */
const MOST_WAITING = 500;

/** For whom a piece of work is done, and on which file system. */
export interface FileJob {
  readonly uid: number;
  /** The device of the caller's program. */
  readonly device: bigint;
  /** Milliseconds after which its file system is not waited for any more. */
  readonly limitMs: number;
}

interface Waiting {
  readonly job: FileJob;
  readonly begin: () => void;
}

/**
 * Few pieces of work at once in all, and one at a time for each user but root; users take turns. Work that hangs is
 * written off: its caller is told, others go on, and no more of that user's callers from that file system come in
 * until it answers.
 */
export class FileWork {
  readonly #clock: Clock;
  readonly #busy: FileJob[] = [];
  readonly #stuck = new Set<FileJob>();
  /** By user; who was served longest ago is first. */
  readonly #waiting = new Map<number, Waiting[]>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Runs `work` when it is the user's turn. Throws `UNAVAILABLE` when too much of that user's waits, or when the file
   * system does not answer; the signal's reason when aborted while waiting.
   */
  async run<T>(job: FileJob, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    this.#assertAnswers(job);
    if (this.#mayBegin(job.uid)) this.#busy.push(job);
    else await this.#turn(job, signal);
    return await this.#watched(job, work);
  }

  #assertAnswers(job: FileJob): void {
    const isStuck = Array.from(this.#stuck).some(({ uid, device }) => uid === job.uid && device === job.device);
    if (isStuck || this.#stuck.size >= MOST_STUCK) throw silent();
  }

  #mayBegin(uid: number): boolean {
    return this.#busy.length < MOST_AT_ONCE && (uid === 0 || !this.#busy.some((job) => job.uid === uid));
  }

  async #watched<T>(job: FileJob, work: () => Promise<T>): Promise<T> {
    const late = Promise.withResolvers<never>();
    const disarm = this.#clock.after(job.limitMs, () => {
      this.#stuck.add(job);
      this.#leave(job);
      late.reject(silent());
    });
    const done = (async () => {
      try {
        this.#assertAnswers(job);
        return await work();
      } finally {
        disarm();
        if (!this.#stuck.delete(job)) this.#leave(job);
      }
    })();
    return await Promise.race([done, late.promise]);
  }

  #turn(job: FileJob, signal: AbortSignal): Promise<void> {
    const queue = this.#waiting.get(job.uid) ?? [];
    if (queue.length >= MOST_WAITING) {
      throw publicError("UNAVAILABLE", "too many callers of this user are being attested");
    }
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        job,
        begin: () => {
          signal.removeEventListener("abort", giveUp);
          resolve();
        },
      };
      const giveUp = (): void => {
        const left = (this.#waiting.get(job.uid) ?? []).filter((other) => other !== waiting);
        if (left.length === 0) this.#waiting.delete(job.uid);
        else this.#waiting.set(job.uid, left);
        reject(signal.reason);
      };
      signal.addEventListener("abort", giveUp, { once: true });
      queue.push(waiting);
      this.#waiting.set(job.uid, queue);
    });
  }

  #leave(job: FileJob): void {
    this.#busy.splice(this.#busy.indexOf(job), 1);
    for (const [uid, queue] of this.#waiting) {
      if (!this.#mayBegin(uid)) continue;
      const next = queue.shift();
      this.#waiting.delete(uid);
      if (queue.length > 0) this.#waiting.set(uid, queue);
      if (next === undefined) continue;
      this.#busy.push(next.job);
      next.begin();
      return;
    }
  }
}

function silent(): AgentError {
  return publicError("UNAVAILABLE", "the file system of the caller's program does not answer");
}
