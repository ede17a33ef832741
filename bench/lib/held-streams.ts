/** Many open streams, each on a connection of its own, and what a change brings to them. */
import { setMaxListeners } from "node:events";
import { connect } from "node:net";
import { Connection } from "./connection.ts";
import { acknowledgement, FIRST_REQUEST, STREAM_SECRETS } from "./envoy-calls.ts";
import { pause } from "./prepared.ts";
import { monotonicMicros } from "./worker.ts";
import { firstCall, workloadCall } from "./workload-calls.ts";

/** How long the streams must be quiet before their messages are counted as all there are. */
const QUIET_MS = 2_000;
/** How long a caller waits that could not connect, at random up to twice this. */
const RETRY_MS = 10;

/** Streams of the Workload API, laid out as a whole connection each. */
const FIRST_CALLS = {
  FetchX509SVID: firstCall(workloadCall("FetchX509SVID")),
  FetchX509Bundles: firstCall(workloadCall("FetchX509Bundles")),
  FetchJWTBundles: firstCall(workloadCall("FetchJWTBundles")),
} as const;

/** What is asked for on a stream; `StreamSecrets` as Envoy does, which acknowledges each answer. */
export type StreamKind = keyof typeof FIRST_CALLS | "StreamSecrets";

interface Held {
  readonly connection: Connection;
  messages: number;
  bytes: number;
  length: number;
  changedAt: number;
  lost: boolean;
}

/** What a change brought to the streams. Times in µs. */
export interface Change {
  readonly first: number;
  readonly last: number;
  readonly messages: number;
  /** Of all messages. */
  readonly bytes: number;
  readonly reached: number;
}

/** What it took until all streams were open again, or until time was up. */
export interface Storm {
  readonly micros: number;
  /** Connections that were refused and tried again. */
  readonly retries: number;
  readonly open: number;
}

/** The streams that a client holds. */
export class HeldStreams {
  #held: Held[] = [];

  /** Opens `count` more, `lanes` at a time. */
  async open(socket: string, count: number, lanes: number, kind: StreamKind = "FetchX509SVID"): Promise<void> {
    let left = count;
    const lane = async (): Promise<void> => {
      while (left-- > 0) this.#held.push(await holdOne(socket, kind));
    };
    await Promise.all(Array.from({ length: lanes }, lane));
  }

  /** Closes every stream and opens as many at the same moment; who is refused tries again until time is up. */
  async reconnect(socket: string, timeoutMs: number): Promise<Storm> {
    const { length } = this.#held;
    await this.close();
    const started = monotonicMicros();
    const givenUp = new AbortController();
    setMaxListeners(0, givenUp.signal);
    let retries = 0;
    const again = async (): Promise<void> => {
      while (!givenUp.signal.aborted) {
        try {
          this.#held.push(await holdOne(socket, "FetchX509SVID", givenUp.signal));
          return;
        } catch {
          retries++;
          await pause(Math.random() * 2 * RETRY_MS);
        }
      }
    };
    const timer = setTimeout(() => givenUp.abort(), timeoutMs);
    await Promise.all(Array.from({ length }, again));
    clearTimeout(timer);
    return { micros: monotonicMicros() - started, retries, open: this.count };
  }

  /** How many are open. */
  get count(): number {
    return this.#held.reduce((sum, { lost }) => sum + (lost ? 0 : 1), 0);
  }

  /** Forgets what the streams brought until now. */
  arm(): void {
    for (const stream of this.#held) Object.assign(stream, { messages: 0, bytes: 0, changedAt: 0 });
  }

  /** Waits until every stream has a message that differs in length from its last one, then for silence. */
  async change(timeoutMs: number): Promise<Change> {
    const end = Date.now() + timeoutMs;
    while (this.#held.some(({ changedAt }) => changedAt === 0) && Date.now() < end) await pause(50);
    for (let before = -1, now = this.#sum("messages"); now !== before; before = now, now = this.#sum("messages"))
      await pause(QUIET_MS);
    const times = this.#held.map(({ changedAt }) => changedAt).filter((at) => at > 0);
    const [first, last] = times.reduce(
      ([least, most], at) => [Math.min(least, at), Math.max(most, at)],
      [Number.POSITIVE_INFINITY, 0],
    );
    return { first, last, messages: this.#sum("messages"), bytes: this.#sum("bytes"), reached: times.length };
  }

  /** Closes all. */
  async close(): Promise<void> {
    const closing = this.#held;
    this.#held = [];
    const closed = ({ connection: { socket } }: Held): Promise<unknown> =>
      new Promise((done) => (socket.destroyed ? done(undefined) : socket.once("close", done).destroy()));
    await Promise.all(closing.map(closed));
  }

  #sum(of: "messages" | "bytes"): number {
    return this.#held.reduce((sum, stream) => sum + stream[of], 0);
  }
}

/** Resolves with the first message; `givenUp` closes what has none by then. */
function holdOne(socket: string, kind: StreamKind, givenUp?: AbortSignal): Promise<Held> {
  return new Promise((resolve, reject) => {
    const connection = new Connection(connect(socket));
    const giveUp = (): void => void connection.socket.destroy();
    givenUp?.addEventListener("abort", giveUp);
    const stream: Held = { connection, messages: 0, bytes: 0, length: -1, changedAt: 0, lost: false };
    const took = (length: number): void => {
      if (stream.length < 0) {
        givenUp?.removeEventListener("abort", giveUp);
        resolve(stream);
      } else {
        stream.messages++;
        stream.bytes += length;
        if (length !== stream.length && stream.changedAt === 0) stream.changedAt = monotonicMicros();
      }
      stream.length = length;
    };
    const end = (): void => {
      givenUp?.removeEventListener("abort", giveUp);
      stream.lost = true;
      connection.socket.destroy();
      reject(new Error("refused: a stream ended while streams were opened"));
    };
    if (kind !== "StreamSecrets") {
      connection.begin(FIRST_CALLS[kind], { message: took, end });
      return;
    }
    connection.socket.cork();
    connection.open();
    const id = connection.call(STREAM_SECRETS, {
      keep: true,
      message(length, bytes) {
        took(length);
        connection.send(id, acknowledgement(bytes ?? new Uint8Array(0)), false);
      },
      end,
    });
    connection.send(id, FIRST_REQUEST, false);
    connection.socket.uncork();
  });
}
