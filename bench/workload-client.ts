/** The bench's workload: a cheap Workload API client in a process of its own. Its operations are called over IPC. */
import { connect } from "node:net";
import { Connection } from "./lib/connection.ts";
import { type Change, HeldStreams, type Storm, type StreamKind } from "./lib/held-streams.ts";
import { pause } from "./lib/prepared.ts";
import { Probe, type Span } from "./lib/probe.ts";
import { type Summary, summarize } from "./lib/statistics.ts";
import { Watcher } from "./lib/watcher.ts";
import { monotonicMicros, serveOperations } from "./lib/worker.ts";
import { FETCH_CALL, FIRST_FETCH, type LaidOut, workloadCall } from "./lib/workload-calls.ts";

const held = new HeldStreams();
let watcher: Watcher | undefined;
let probe: Probe | undefined;

const operations = {
  /**
   * Opens connections one after the other in `lanes` lanes; on each, waits for the first message of a stream. Fewer than
   * `count` when `mostMs` is over.
   */
  async connects(o: {
    socket: string;
    count: number;
    lanes: number;
    mostMs?: number;
  }): Promise<Summary & { bytes: number; micros: number }> {
    const latencies: number[] = [];
    let bytes = 0;
    let left = o.count;
    const started = monotonicMicros();
    await lanes(o.lanes, async () => {
      while (left-- > 0 && !isOver(started, o.mostMs)) {
        const from = monotonicMicros();
        bytes = await firstMessage(o.socket);
        latencies.push(monotonicMicros() - from);
      }
    });
    return { ...summarize(latencies), bytes, micros: monotonicMicros() - started };
  },

  /** Opens streams on one connection, up to `lanes` at a time; each is cancelled after its first message. */
  async calls(o: { socket: string; count: number; lanes: number }): Promise<{ micros: number; connections: number }> {
    let [begun, done, connections] = [0, 0, 0];
    const started = monotonicMicros();
    do {
      const connection = new Connection(connect(o.socket));
      connection.open();
      connections++;
      await lanes(o.lanes, async () => {
        while (begun < o.count && !connection.closed) {
          begun++;
          if (await oneOf(connection)) done++;
        }
      });
      connection.socket.destroy();
      // What a connection took along when it went is made up for on the next.
      begun = done;
      if (connections > o.count) throw new Error("the server ends every connection");
    } while (done < o.count);
    return { micros: monotonicMicros() - started, connections };
  },

  /** Opens streams on one connection, one after the other, and takes the time until each has its first message. */
  async waits(o: { socket: string; count: number; mostMs: number }): Promise<Summary> {
    const latencies: number[] = [];
    const started = monotonicMicros();
    const connection = new Connection(connect(o.socket));
    connection.open();
    while (latencies.length < o.count && !isOver(started, o.mostMs)) {
      const from = monotonicMicros();
      if (!(await oneOf(connection))) throw new Error("the connection was closed");
      latencies.push(monotonicMicros() - from);
    }
    connection.socket.destroy();
    return summarize(latencies);
  },

  /** The pid of this process. */
  async pid(): Promise<number> {
    return process.pid;
  },

  /** Calls a method that answers once, on one connection, `lanes` at a time; the requests are taken in turn. */
  async ask(o: {
    socket: string;
    method: string;
    /** base64 */
    requests: readonly string[];
    count: number;
    lanes: number;
  }): Promise<{ micros: number }> {
    const calls = o.requests.map((request) => workloadCall(o.method, Buffer.from(request, "base64")));
    const connection = new Connection(connect(o.socket));
    connection.open();
    let next = 0;
    const started = monotonicMicros();
    await lanes(o.lanes, async () => {
      for (let index = next++; index < o.count; index = next++) await answerOf(connection, calls[index % calls.length]);
    });
    const micros = monotonicMicros() - started;
    connection.socket.destroy();
    return { micros };
  },

  /** Calls such a method once for each request, one after the other; the answers, base64. */
  async answers(o: { socket: string; method: string; requests: readonly string[] }): Promise<string[]> {
    const connection = new Connection(connect(o.socket));
    connection.open();
    const answers: string[] = [];
    for (const request of o.requests) {
      const answer = await answerOf(connection, workloadCall(o.method, Buffer.from(request, "base64")), true);
      answers.push(answer?.toString("base64") ?? "");
    }
    connection.socket.destroy();
    return answers;
  },

  /** Opens `count` streams, each on a connection of its own, and holds them. */
  async hold(o: {
    socket: string;
    count: number;
    lanes: number;
    kind?: StreamKind;
  }): Promise<{ micros: number; open: number }> {
    const started = monotonicMicros();
    await held.open(o.socket, o.count, o.lanes, o.kind);
    return { micros: monotonicMicros() - started, open: held.count };
  },

  /** Forgets what the held streams brought until now. */
  async arm(): Promise<void> {
    held.arm();
  },

  /** Waits until a change has reached every held stream. */
  change: (o: { timeoutMs: number }): Promise<Change> => held.change(o.timeoutMs),

  /** Closes the held streams and opens as many at the same moment. */
  reconnect: (o: { socket: string; timeoutMs: number }): Promise<Storm> => held.reconnect(o.socket, o.timeoutMs),

  /** Closes the held streams. */
  release: (): Promise<void> => held.close(),

  /** Tries to connect until there is a first message; the time at which it came. */
  async first(o: { socket: string; timeoutMs: number }): Promise<number> {
    const end = Date.now() + o.timeoutMs;
    while (Date.now() < end) {
      const bytes = await firstMessage(o.socket).catch(() => 0);
      if (bytes > 0) return monotonicMicros();
      await pause(1);
    }
    throw new Error(`no SVID within ${o.timeoutMs} ms`);
  },

  /** Watches the caller's identities over a stream. */
  async watch(o: { socket: string }): Promise<void> {
    watcher = new Watcher(o.socket);
  },

  /** Ends that. */
  async unwatch(): Promise<void> {
    watcher?.[Symbol.dispose]();
    watcher = undefined;
  },

  /** The time at which the watched stream brought an identity or lost it. */
  async noticed(o: { id: string; what: "seen" | "gone"; timeoutMs: number }): Promise<number> {
    if (watcher === undefined) throw new Error("not watching");
    return watcher.noticed(o.id, o.what, o.timeoutMs);
  },

  /** Begins to ask for the server's health every `everyMs`; as user `uid` if given, whom this process is from then on. */
  async probe(o: { socket: string; everyMs: number; uid?: number }): Promise<void> {
    if (o.uid !== undefined && process.getuid?.() !== o.uid) process.setuid?.(o.uid);
    probe = new Probe(o.socket);
    void probe.run(o.everyMs);
  },

  /** Ends that; how long the answers took, in µs. With `during`, only those that a span has to do with. */
  async probed(o: { during?: readonly Span[] } = {}): Promise<Summary> {
    const meets = ({ from, to }: Span): boolean =>
      o.during === undefined || o.during.some((span) => from < span.to && to > span.from);
    const asked = (probe?.stop() ?? []).filter(meets);
    if (asked.length === 0) throw new Error("no probe was answered");
    return summarize(asked.map(({ from, to }) => to - from));
  },
};

/** The operations, for the bench's side. */
export type WorkloadOperations = typeof operations;

function firstMessage(socket: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const connection = new Connection(connect(socket));
    connection.begin(FIRST_FETCH, {
      message(length) {
        resolve(length);
        connection.socket.destroy();
      },
      end() {
        reject(new Error("refused: a stream ended without a message"));
        connection.socket.destroy();
      },
    });
  });
}

/** One stream on a shared connection; whether it brought a message before the connection went. */
function oneOf(connection: Connection): Promise<boolean> {
  return new Promise((resolve) => {
    const stream = connection.repeat(FETCH_CALL, {
      message() {
        connection.cancel(stream);
        resolve(true);
      },
      end: () => resolve(false),
    });
  });
}

/** The answer of a call; throws when it ends without one. */
function answerOf(connection: Connection, call: LaidOut | undefined, keep = false): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    if (call === undefined) throw new Error("no request");
    let answer: Buffer | undefined;
    let answered = false;
    connection.repeat(call, {
      keep,
      message(_length, bytes) {
        answered = true;
        answer = bytes;
      },
      end() {
        if (answered) resolve(answer);
        else reject(new Error("refused: a call ended without an answer"));
      },
    });
  });
}

function isOver(started: number, mostMs = Number.POSITIVE_INFINITY): boolean {
  return monotonicMicros() - started > mostMs * 1e3;
}

async function lanes(count: number, lane: () => Promise<void>): Promise<void> {
  await Promise.all(Array.from({ length: count }, lane));
}

serveOperations(operations);
