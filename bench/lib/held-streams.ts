/** Many open streams, each on a connection of its own, and what a change brings to them. */
import { connect } from "node:net";
import { Connection } from "./connection.ts";
import { pause } from "./prepared.ts";
import { monotonicMicros } from "./worker.ts";
import { FIRST_FETCH } from "./workload-calls.ts";

/** How long the streams must be quiet before their messages are counted as all there are. */
const QUIET_MS = 2_000;

interface Held {
  readonly connection: Connection;
  messages: number;
  length: number;
  changedAt: number;
  lost: boolean;
}

/** What a change brought to the streams. Times in µs. */
export interface Change {
  readonly first: number;
  readonly last: number;
  readonly messages: number;
  readonly reached: number;
}

/** The streams that a client holds. */
export class HeldStreams {
  #held: Held[] = [];

  /** Opens `count` more, `lanes` at a time. */
  async open(socket: string, count: number, lanes: number): Promise<void> {
    let left = count;
    const lane = async (): Promise<void> => {
      while (left-- > 0) this.#held.push(await holdOne(socket));
    };
    await Promise.all(Array.from({ length: lanes }, lane));
  }

  /** How many are open. */
  get count(): number {
    return this.#held.reduce((sum, { lost }) => sum + (lost ? 0 : 1), 0);
  }

  /** Forgets what the streams brought until now. */
  arm(): void {
    for (const stream of this.#held) Object.assign(stream, { messages: 0, changedAt: 0 });
  }

  /** Waits until every stream has a message that differs in length from its last one, then for silence. */
  async change(timeoutMs: number): Promise<Change> {
    const end = Date.now() + timeoutMs;
    while (this.#held.some(({ changedAt }) => changedAt === 0) && Date.now() < end) await pause(50);
    for (let before = -1, now = this.#messages(); now !== before; before = now, now = this.#messages())
      await pause(QUIET_MS);
    const times = this.#held.map(({ changedAt }) => changedAt).filter((at) => at > 0);
    const [first, last] = times.reduce(
      ([least, most], at) => [Math.min(least, at), Math.max(most, at)],
      [Number.POSITIVE_INFINITY, 0],
    );
    return { first, last, messages: this.#messages(), reached: times.length };
  }

  /** Closes all. */
  async close(): Promise<void> {
    const closing = this.#held;
    this.#held = [];
    const closed = ({ connection: { socket } }: Held): Promise<unknown> =>
      new Promise((done) => (socket.destroyed ? done(undefined) : socket.once("close", done).destroy()));
    await Promise.all(closing.map(closed));
  }

  #messages(): number {
    return this.#held.reduce((sum, { messages }) => sum + messages, 0);
  }
}

function holdOne(socket: string): Promise<Held> {
  return new Promise((resolve, reject) => {
    const connection = new Connection(connect(socket));
    const stream: Held = { connection, messages: 0, length: -1, changedAt: 0, lost: false };
    connection.begin(FIRST_FETCH, {
      message(length) {
        if (stream.length < 0) resolve(stream);
        else {
          stream.messages++;
          if (length !== stream.length && stream.changedAt === 0) stream.changedAt = monotonicMicros();
        }
        stream.length = length;
      },
      end() {
        stream.lost = true;
        reject(new Error("refused: a stream ended while streams were opened"));
      },
    });
  });
}
