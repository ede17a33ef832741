/** Bounds what unfinished requests of one user, and of all, may hold of our memory. */
import type { RequestAccount } from "../lib/rpc/request-decoder.ts";

/** Bytes. */
export interface RequestBudgetLimits {
  readonly maxUnfinished: number;
  /** Of one uid. */
  readonly maxUnfinishedPerUid: number;
}

/** Of one socket. */
export class RequestBudget {
  readonly #limits: RequestBudgetLimits;
  readonly #perUid = new Map<number, number>();
  #held = 0;

  constructor(limits: RequestBudgetLimits) {
    this.#limits = limits;
  }

  /** Bytes that are held now. */
  get held(): number {
    return this.#held;
  }

  /** Where the requests of a user are counted. */
  of(uid: number): RequestAccount {
    return {
      hold: (bytes) => this.#hold(uid, bytes),
      release: (bytes) => this.#set(uid, (this.#perUid.get(uid) ?? 0) - bytes, -bytes),
    };
  }

  #hold(uid: number, bytes: number): boolean {
    const held = (this.#perUid.get(uid) ?? 0) + bytes;
    if (held > this.#limits.maxUnfinishedPerUid || this.#held + bytes > this.#limits.maxUnfinished) return false;
    this.#set(uid, held, bytes);
    return true;
  }

  #set(uid: number, held: number, change: number): void {
    this.#held += change;
    if (held > 0) this.#perUid.set(uid, held);
    else this.#perUid.delete(uid);
  }
}
