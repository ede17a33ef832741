/** One open stream whose identities are told apart: when each came, and when it went. */
import { connect } from "node:net";
import { X509SVIDResponse } from "../../src/gen/workload/workload.ts";
import { Connection } from "./connection.ts";
import { pause } from "./prepared.ts";
import { monotonicMicros } from "./worker.ts";
import { FIRST_FETCH } from "./workload-calls.ts";

/** A watched stream. Times in µs, of the moment at which the message was whole. */
export class Watcher implements Disposable {
  readonly #connection: Connection;
  readonly #times = { seen: new Map<string, number>(), gone: new Map<string, number>() };
  #present: ReadonlySet<string> = new Set();

  /** Opens the stream. */
  constructor(socket: string) {
    const connection = new Connection(connect(socket));
    this.#connection = connection;
    connection.begin(FIRST_FETCH, {
      keep: true,
      message: (_length, bytes) => {
        const now = monotonicMicros();
        const { svids } = X509SVIDResponse.decode(bytes ?? new Uint8Array(0));
        this.#become(new Set(svids.map(({ spiffeId }) => spiffeId)), now);
      },
      end: () => this.#become(new Set(), monotonicMicros()),
    });
  }

  /** When an identity came or went; waits for it. */
  async noticed(id: string, what: "seen" | "gone", timeoutMs: number): Promise<number> {
    const end = Date.now() + timeoutMs;
    for (;;) {
      const at = this.#times[what].get(id);
      if (at !== undefined) return at;
      if (Date.now() > end) throw new Error(`${id} not ${what} within ${timeoutMs} ms`);
      // The time was taken when the message came; looking for it late costs nothing.
      await pause(20);
    }
  }

  [Symbol.dispose](): void {
    this.#connection.socket.destroy();
  }

  #become(ids: ReadonlySet<string>, now: number): void {
    for (const id of ids) if (!this.#present.has(id)) this.#times.seen.set(id, now);
    for (const id of this.#present) if (!ids.has(id)) this.#times.gone.set(id, now);
    this.#present = ids;
  }
}
