/** The bench's own HTTP/2: a mistake in it would be measured as the server's. */
import { createServer } from "node:http2";
import { connect, type Socket } from "node:net";
import { describe, expect, test } from "vitest";
import { Connection } from "../../bench/lib/connection.ts";
import {
  Flag,
  Frame,
  FrameReader,
  frame,
  grpcHeaders,
  grpcMessage,
  headerBlock,
  OPENING,
  wholeCall,
} from "../../bench/lib/frames.ts";
import { MessageReader } from "../../bench/lib/messages.ts";

interface Seen {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: string;
}

/** Reads `bytes` in chunks of a size; DATA is put together again. */
function readAll(bytes: Buffer, chunk: number): Seen[] {
  const seen: Seen[] = [];
  let data = "";
  const reader = new FrameReader({
    data: (_stream, piece) => {
      data += piece.toString("latin1");
    },
    frame: (type, flags, stream, payload) => {
      seen.push({ type, flags, stream, payload: type === Frame.DATA ? data : payload.toString("latin1") });
      data = "";
    },
  });
  for (let at = 0; at < bytes.length; at += chunk) reader.push(bytes.subarray(at, at + chunk));
  return seen;
}

describe("frames", () => {
  const wire = Buffer.concat([
    frame(Frame.SETTINGS, Flag.NONE, 0, Buffer.alloc(0)),
    frame(Frame.HEADERS, Flag.END_HEADERS, 1, Buffer.from("headers")),
    frame(Frame.DATA, Flag.NONE, 1, Buffer.from("a longer piece of data")),
    frame(Frame.DATA, Flag.END_STREAM, 1, Buffer.alloc(0)),
    frame(Frame.PING, Flag.NONE, 0, Buffer.from("12345678")),
  ]);

  test.each([1, 2, 7, 8, 9, 10, 31, 1_000])("come out the same however they are cut: %d bytes at a time", (chunk) => {
    expect(readAll(wire, chunk)).toEqual([
      { type: Frame.SETTINGS, flags: 0, stream: 0, payload: "" },
      { type: Frame.HEADERS, flags: Flag.END_HEADERS, stream: 1, payload: "headers" },
      { type: Frame.DATA, flags: 0, stream: 1, payload: "a longer piece of data" },
      { type: Frame.DATA, flags: Flag.END_STREAM, stream: 1, payload: "" },
      { type: Frame.PING, flags: 0, stream: 0, payload: "12345678" },
    ]);
  });

  test("with padding are refused", () => {
    expect(() => readAll(frame(Frame.DATA, Flag.PADDED, 1, Buffer.from("\u0001x\u0000")), 100)).toThrow("padded");
  });

  test("header fields of 127 bytes and more have their length in several bytes (RFC 7541 §5.1)", () => {
    const block = headerBlock([["n", "v".repeat(1_337)]]);
    // 1337 - 127 = 1210 = 0b1001_0111010
    expect([...block.subarray(0, 6)]).toEqual([
      0,
      1,
      "n".charCodeAt(0),
      127,
      (1210 % 128) | 128,
      Math.floor(1210 / 128),
    ]);
    expect(block.length).toBe(6 + 1_337);
  });
});

describe("messages", () => {
  const wire = Buffer.concat([
    grpcMessage(Buffer.from("one")),
    grpcMessage(Buffer.alloc(0)),
    grpcMessage(Buffer.from("three")),
  ]);

  test.each([1, 3, 5, 6, 100])("are told apart however they are cut: %d bytes at a time", (chunk) => {
    const seen: [number, string | undefined][] = [];
    const reader = new MessageReader(true, (length, bytes) => seen.push([length, bytes?.toString()]));
    for (let at = 0; at < wire.length; at += chunk) reader.push(wire.subarray(at, at + chunk));
    expect(seen).toEqual([
      [3, "one"],
      [0, ""],
      [5, "three"],
    ]);
  });

  test("are counted without being kept", () => {
    const seen: [number, Buffer | undefined][] = [];
    new MessageReader(false, (length, bytes) => seen.push([length, bytes])).push(wire);
    expect(seen).toEqual([
      [3, undefined],
      [0, undefined],
      [5, undefined],
    ]);
  });

  test("that are compressed are refused", () => {
    expect(() => new MessageReader(false, () => {}).push(Buffer.from([1, 0, 0, 0, 0]))).toThrow("compressed");
  });
});

describe("a connection speaks with Node's HTTP/2 server", () => {
  /** Echoes each request's gRPC payload, `times` times, and ends. */
  async function echo(use: (socket: Socket) => Promise<void>, times = 1): Promise<void> {
    const server = createServer();
    server.on("stream", (stream, headers) => {
      const parts: Buffer[] = [];
      stream.on("data", (part: Buffer) => parts.push(part));
      stream.on("end", () => {
        stream.respond({ ":status": 200, "content-type": "application/grpc" });
        if (headers[":path"] !== "/refused")
          for (let time = 0; time < times; time++) stream.write(Buffer.concat(parts));
        stream.end();
      });
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    const socket = connect(address.port, "127.0.0.1");
    try {
      await use(socket);
    } finally {
      socket.destroy();
      await new Promise((done) => server.close(done));
    }
  }

  function answers(connection: Connection, headers: Buffer, request?: Buffer): Promise<string[]> {
    return new Promise((done) => {
      const got: string[] = [];
      const handler = {
        keep: true,
        message: (_: number, bytes?: Buffer) => got.push(bytes?.toString() ?? ""),
        end: () => done(got),
      };
      if (request === undefined) {
        connection.begin(Buffer.concat([OPENING, wholeCall(headers, Buffer.from("first"), 1)]), handler);
      } else {
        const stream = connection.call(headers, handler);
        connection.send(stream, request, true);
      }
    });
  }

  test("a whole call in one write, then a second one laid out for any stream", async () => {
    await echo(async (socket) => {
      const connection = new Connection(socket);
      const headers = grpcHeaders("/echo");
      expect(await answers(connection, headers)).toEqual(["first"]);
      const bytes = wholeCall(headers, Buffer.from("again"), 1);
      const second = await new Promise((done) => {
        const stream = connection.repeat(
          { bytes, dataAt: 9 + headers.length },
          { keep: true, message: (_, message) => done([stream, message?.toString()]), end() {} },
        );
      });
      expect(second).toEqual([3, "again"]);
    });
  });

  test("a request larger than the peer's windows arrives whole, and so does the answer", async () => {
    await echo(async (socket) => {
      const connection = new Connection(socket);
      connection.open();
      const request = Buffer.alloc(1_000_000, "abcdefg");
      expect(await answers(connection, grpcHeaders("/echo"), request)).toEqual(Array(3).fill(request.toString()));
    }, 3);
  });

  test("a call that is refused ends without a message", async () => {
    await echo(async (socket) => {
      const connection = new Connection(socket);
      connection.open();
      expect(await answers(connection, grpcHeaders("/refused"), Buffer.from("x"))).toEqual([]);
    });
  });

  test("calls end when the connection does", async () => {
    await echo(async (socket) => {
      const connection = new Connection(socket);
      connection.open();
      const ended = new Promise<void>((done) => {
        connection.call(grpcHeaders("/echo"), { message() {}, end: done });
      });
      await new Promise((done) => socket.once("connect", done));
      socket.destroy();
      await ended;
      expect(connection.closed).toBe(true);
    });
  });
});
