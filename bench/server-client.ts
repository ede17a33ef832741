/** The bench's agents and administrators: a cheap client of the server's APIs in a process of its own. */
import {
  EntryService,
  SyncAuthorizedEntriesRequest,
  SyncAuthorizedEntriesResponse,
} from "../src/gen/spire/api/server/entry/v1/entry.ts";
import type { Connection } from "./lib/connection.ts";
import { type Address, dial } from "./lib/dial.ts";
import { grpcHeaders } from "./lib/frames.ts";
import { type Summary, summarize } from "./lib/statistics.ts";
import { monotonicMicros, serveOperations } from "./lib/worker.ts";

/** The most IDs that SPIRE's agents ask for at once. */
const SYNC_PAGE = 500;

const operations = {
  /** Makes unary calls on `lanes` connections, one at a time on each; the requests are taken in turn, `count` in all. */
  async calls(o: {
    to: Address;
    path: string;
    /** base64 */
    requests: readonly string[];
    count: number;
    lanes: number;
  }): Promise<Summary & { micros: number; bytes: number; last: string }> {
    const headers = grpcHeaders(o.path);
    const requests = o.requests.map((text) => Buffer.from(text, "base64"));
    const connections = await Promise.all(Array.from({ length: o.lanes }, () => dial(o.to)));
    const latencies: number[] = [];
    let next = 0;
    let bytes = 0;
    let last: Buffer = Buffer.alloc(0);
    const started = monotonicMicros();
    await Promise.all(
      connections.map(async (connection) => {
        for (let index = next++; index < o.count; index = next++) {
          const from = monotonicMicros();
          last = await unary(connection, headers, requests[index % requests.length] ?? Buffer.alloc(0));
          latencies.push(monotonicMicros() - from);
          bytes += last.length;
        }
      }),
    );
    const micros = monotonicMicros() - started;
    for (const connection of connections) connection.socket.destroy();
    return { ...summarize(latencies), micros, bytes, last: last.toString("base64") };
  },

  /** Makes each call on a new connection, `lanes` at a time: what joining nodes do. */
  async visits(o: {
    to: Address;
    path: string;
    /** base64 */
    requests: readonly string[];
    lanes: number;
  }): Promise<{ micros: number; last: string }> {
    const headers = grpcHeaders(o.path);
    let next = 0;
    let last: Buffer = Buffer.alloc(0);
    const started = monotonicMicros();
    await Promise.all(
      Array.from({ length: o.lanes }, async () => {
        for (let request = o.requests[next++]; request !== undefined; request = o.requests[next++]) {
          const connection = await dial(o.to);
          last = await unary(connection, headers, Buffer.from(request, "base64"));
          connection.socket.destroy();
        }
      }),
    );
    return { micros: monotonicMicros() - started, last: last.toString("base64") };
  },

  /** Fetches all authorized entries as an agent does that knows none; how many there were, and their bytes. */
  async sync(o: { to: Address /** base64 of the first request */; first: string }): Promise<{
    micros: number;
    entries: number;
    bytes: number;
  }> {
    const connection = await dial(o.to);
    const started = monotonicMicros();
    const outcome = await syncAll(connection, Buffer.from(o.first, "base64"));
    const micros = monotonicMicros() - started;
    connection.socket.destroy();
    return { ...outcome, micros };
  },
};

/** The operations, for the bench's side. */
export type ServerOperations = typeof operations;

/** One request, one answer. Bidirectional calls that end after one answer are called likewise. */
function unary(connection: Connection, headers: Buffer, request: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let answer: Buffer | undefined;
    connection.socket.cork();
    const stream = connection.call(headers, {
      keep: true,
      message(_length, bytes) {
        answer = bytes;
      },
      end() {
        if (answer === undefined)
          reject(new Error("refused: a call ended without an answer; the server's log says why"));
        else resolve(answer);
      },
    });
    connection.send(stream, request, true);
    connection.socket.uncork();
  });
}

function syncAll(connection: Connection, first: Buffer): Promise<{ entries: number; bytes: number }> {
  return new Promise((resolve, reject) => {
    const wanted: string[] = [];
    let [entries, bytes] = [0, 0];
    let more = true;
    const ask = (): void => {
      const ids = wanted.splice(0, SYNC_PAGE);
      if (ids.length === 0) connection.finish(stream);
      else connection.send(stream, SyncAuthorizedEntriesRequest.encode({ outputMask: undefined, ids }).finish(), false);
    };
    const stream = connection.call(grpcHeaders(EntryService.syncAuthorizedEntries.path), {
      keep: true,
      message(length, message) {
        bytes += length;
        const response = SyncAuthorizedEntriesResponse.decode(message ?? Buffer.alloc(0));
        for (const { id } of response.entryRevisions) wanted.push(id);
        entries += response.entries.length;
        ({ more } = response);
        if (!more) ask();
      },
      end() {
        if (more) reject(new Error("the server ended a sync before its end"));
        else resolve({ entries, bytes });
      },
    });
    connection.send(stream, first, false);
  });
}

serveOperations(operations);
