/** A transport that takes calls with paths as their authority, and serves all others as before. */
import { once } from "node:events";
import http2 from "node:http2";
import net from "node:net";
import { describe, expect, test } from "vitest";
import { type Method, Reply, type TransportOptions } from "../../../src/lib/rpc/transport.ts";
import { callFields, frame } from "./frames.ts";
import { call, type Harness, startHarness, type TestPeer, until } from "./harness.ts";
import { JAVA_SETTINGS, PREFACE } from "./path-authority-frames.ts";

const who: Method<TestPeer> = {
  kind: "single",
  run: (call, request) => {
    call.send(new Reply(Buffer.from(`peer ${call.peer.number} said ${request.length} bytes`)));
    call.end();
  },
};
const PROTOCOL_ERROR = frame(3, 0, 1, Buffer.from([0, 0, 0, 1])).toString("latin1");

async function startWith(
  takesPathAuthorities: boolean,
  more: Partial<TransportOptions<TestPeer>> = {},
): Promise<Harness> {
  return startHarness({ "/t.T/Who": who }, { takesPathAuthorities, ...more });
}

/** One call on a stream, with a message of five bytes. */
function rawCall(stream: number, authority: string): Buffer {
  const headers = frame(1, 4, stream, callFields("/t.T/Who", { ":authority": authority }));
  return Buffer.concat([headers, frame(0, 1, stream, Buffer.from([0, 0, 0, 0, 5, 1, 2, 3, 4, 5]))]);
}

/** A client by hand, and all that it has read. */
class RawClient {
  readonly socket: net.Socket;
  read = "";

  constructor(path: string, settings: Buffer) {
    this.socket = net.connect(path);
    this.socket.write(Buffer.concat([PREFACE, settings]));
    this.socket.on("data", (bytes) => {
      this.read += bytes.toString("latin1");
    });
    this.socket.on("error", () => {});
  }
}

describe("a client that names a path", () => {
  test("is served and known, call after call", async () => {
    const begun: number[] = [];
    await using harness = await startWith(true, { onStream: (peer) => void begun.push(peer.number) });
    const one = new RawClient(harness.path, JAVA_SETTINGS);
    await until(() => harness.peers.length === 1);
    const two = new RawClient(harness.path, JAVA_SETTINGS);
    for (const stream of [1, 3, 5]) {
      one.socket.write(rawCall(stream, harness.path));
      two.socket.write(rawCall(stream, `/other/${stream}`));
      const answers = (stream + 1) / 2;
      await until(() => one.read.split("peer 0 said 5 bytes").length > answers);
      await until(() => two.read.split("peer 1 said 5 bytes").length > answers);
    }
    expect(begun.toSorted((a, b) => a - b)).toEqual([0, 0, 0, 1, 1, 1]);
    one.socket.destroy();
    await until(() => harness.gone.length === 1);
    expect(harness.gone[0]?.number).toBe(0);
    two.socket.end();
    await until(() => harness.transport.connections === 0);
  });

  test("is refused by a transport that does not look, and when it announces itself as something else", async () => {
    for (const [looks, settings] of [
      [false, JAVA_SETTINGS],
      [true, frame(4, 0, 0, Buffer.alloc(0))],
    ] as const) {
      await using harness = await startWith(looks);
      const client = new RawClient(harness.path, settings);
      client.socket.write(rawCall(1, harness.path));
      await until(() => client.read.includes(PROTOCOL_ERROR));
      client.socket.write(rawCall(3, "localhost"));
      await until(() => client.read.includes("peer 0 said 5 bytes"));
      client.socket.destroy();
    }
  });
});

test("a client like Java may send much, and many calls at once", async () => {
  await using harness = await startWith(true, { maxRequest: 300_000 });
  const settings = { enablePush: false, maxConcurrentStreams: 0, maxHeaderListSize: 8192 };
  const session = http2.connect("http://localhost", { createConnection: () => net.connect(harness.path), settings });
  const ask = async (bytes: number): Promise<string> => {
    const request = Buffer.alloc(5 + bytes);
    request.writeUInt32BE(bytes, 1);
    const stream = session.request({ ":method": "POST", ":path": "/t.T/Who", "content-type": "application/grpc" });
    stream.end(request);
    let text = "";
    for await (const chunk of stream) text += String(chunk);
    return text.slice(5);
  };
  const sizes = Array.from({ length: 50 }, (_, i) => 4_000 * (i + 1));
  expect(await Promise.all(sizes.map(ask))).toEqual(sizes.map((size) => `peer 0 said ${size} bytes`));
  session.close();
  await until(() => harness.transport.connections === 0);
});

describe("a transport that looks", () => {
  test("serves stock clients", async () => {
    await using harness = await startWith(true);
    expect((await call(harness.client(), "/t.T/Who", "abc")).messages).toEqual(["peer 0 said 3 bytes"]);
  });

  test("forgets who leaves without a word, and does not wait for who is silent", async () => {
    await using harness = await startWith(true);
    const leaving = net.connect(harness.path);
    const silent = net.connect(harness.path);
    await until(() => harness.transport.connections === 2);
    leaving.end();
    await until(() => harness.gone.length === 1);
    const closed = once(silent, "close");
    silent.resume();
    await harness.transport.shutdown(600_000);
    await closed;
    expect(harness.gone).toHaveLength(2);
  });
});
