/** Bounds the work on files that callers choose, because their file systems may never answer. */
import { publicError } from "../../lib/errors.ts";

/** Node has four threads for files; so many of them may wait for callers' files. */
const MOST_AT_ONCE = 2;
/** Callers of one user that may wait for their turn. */
const MOST_WAITING = 500;

interface Waiting {
  readonly uid: number;
  readonly begin: () => void;
}

/** Few pieces of work at once in all, and one at a time for each user but root. */
export class FileWork {
  /** The users whose work is in progress. */
  readonly #busy: number[] = [];
  readonly #waiting: Waiting[] = [];

  /** Runs `work` when it is the user's turn. Throws `UNAVAILABLE` when too much of that user's waits. */
  async run<T>(uid: number, work: () => Promise<T>): Promise<T> {
    if (this.#mayBegin(uid)) this.#busy.push(uid);
    else await this.#turn(uid);
    try {
      return await work();
    } finally {
      this.#busy.splice(this.#busy.indexOf(uid), 1);
      this.#next();
    }
  }

  #mayBegin(uid: number): boolean {
    return this.#busy.length < MOST_AT_ONCE && (uid === 0 || !this.#busy.includes(uid));
  }

  #turn(uid: number): Promise<void> {
    if (this.#waiting.filter((waiting) => waiting.uid === uid).length >= MOST_WAITING) {
      throw publicError("UNAVAILABLE", "too many callers of this user are being attested");
    }
    return new Promise((begin) => {
      this.#waiting.push({ uid, begin });
    });
  }

  #next(): void {
    const index = this.#waiting.findIndex(({ uid }) => this.#mayBegin(uid));
    const [first] = index < 0 ? [] : this.#waiting.splice(index, 1);
    if (first === undefined) return;
    this.#busy.push(first.uid);
    first.begin();
  }
}
