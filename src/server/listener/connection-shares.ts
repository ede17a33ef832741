/**
 * Shares a listener's connections out. Who is in excess loses its own oldest connection, so that nobody can keep the
 * others out: a newcomer's handshake takes milliseconds, what has been open longest without a name is worth least.
 */
import type { SpiffeId } from "../../spiffe/id.ts";
import type { ConnectionLimits } from "../connection-limits.ts";
import { limitKey } from "../rate-limit.ts";

/** One connection's place. */
export interface Place {
  /** The peer has shown its SVID. */
  identify(id: SpiffeId): void;
  /** The connection is closed. */
  leave(): void;
}

/** Counts connections, by address until their peer has a name, then by that. */
export class ConnectionShares {
  readonly #limits: Pick<ConnectionLimits, "unidentified" | "perId">;
  readonly #strangers = new Holders();
  readonly #known = new Holders();

  constructor(limits: Pick<ConnectionLimits, "unidentified" | "perId">) {
    this.#limits = limits;
  }

  /** Connections whose peer has shown no SVID (yet). */
  get unidentified(): number {
    return this.#strangers.size;
  }

  /** A new connection from an IP address; `close` closes it. */
  enter(address: string, close: () => void): Place {
    let [holders, holder] = [this.#strangers, limitKey(address)];
    holders.add(holder, close);
    if (holders.size > this.#limits.unidentified) holders.closeOldest(holders.largest());
    return {
      identify: (id) => {
        if (!holders.remove(holder, close)) return;
        [holders, holder] = [this.#known, id];
        holders.add(holder, close);
        if (holders.count(holder) > this.#limits.perId) holders.closeOldest(holder);
      },
      leave: () => void holders.remove(holder, close),
    };
  }
}

/** Connections, given by what closes them, by whose they are; oldest first. */
class Holders {
  readonly #connections = new Map<string, Set<() => void>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  count(holder: string): number {
    return this.#connections.get(holder)?.size ?? 0;
  }

  add(holder: string, close: () => void): void {
    const own = this.#connections.get(holder) ?? new Set();
    this.#connections.set(holder, own.add(close));
    this.#size++;
  }

  /** Returns false if it is not there (any more). */
  remove(holder: string, close: () => void): boolean {
    const own = this.#connections.get(holder);
    if (own?.delete(close) !== true) return false;
    this.#size--;
    if (own.size === 0) this.#connections.delete(holder);
    return true;
  }

  /** Who has most; of several the one who came first. */
  largest(): string {
    let most = 0;
    let largest = "";
    for (const [holder, { size }] of this.#connections) if (size > most) [most, largest] = [size, holder];
    return largest;
  }

  closeOldest(holder: string): void {
    const [close] = this.#connections.get(holder) ?? [];
    if (close === undefined) return;
    this.remove(holder, close);
    close();
  }
}
