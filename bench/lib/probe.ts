/** Asks a server something trivial again and again: how long it takes to answer shows what holds it up. */
import { connect } from "node:net";
import { Connection } from "./connection.ts";
import { pause } from "./prepared.ts";
import { monotonicMicros } from "./worker.ts";
import { HEALTH_CALL } from "./workload-calls.ts";

/** A span of the clock that all processes of a machine share, in µs. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** Health checks over one connection that stays open, one at a time. */
export class Probe {
  readonly #connection: Connection;
  readonly #asked: Span[] = [];
  #stopped = false;

  /** Connects. */
  constructor(socket: string) {
    this.#connection = new Connection(connect(socket));
    this.#connection.open();
  }

  /** Asks until `stop`, `everyMs` after each answer. */
  async run(everyMs: number): Promise<void> {
    while (!this.#stopped) {
      const from = monotonicMicros();
      if (await this.#ask()) this.#asked.push({ from, to: monotonicMicros() });
      await pause(everyMs);
    }
  }

  /** From each question to its answer. */
  stop(): readonly Span[] {
    this.#stopped = true;
    this.#connection.socket.destroy();
    return this.#asked;
  }

  #ask(): Promise<boolean> {
    return new Promise((resolve) => {
      let answered = false;
      this.#connection.repeat(HEALTH_CALL, {
        message() {
          answered = true;
        },
        end: () => resolve(answered),
      });
    });
  }
}
