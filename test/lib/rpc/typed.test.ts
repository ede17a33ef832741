import { type Client, type ClientDuplexStream, Metadata, status as Status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { AgentError, publicError } from "../../../src/lib/errors.ts";
import { bidi, type MethodCodec, type RequestReader, serverStream, unary } from "../../../src/lib/rpc/typed.ts";
import { call, collect, openStream, startHarness, statusOf, type TestPeer, until } from "./harness.ts";

/** Text, except that a leading zero byte is malformed. */
const text = {
  encode: (message: string) => ({ finish: () => Buffer.from(message) }),
  decode(reader: RequestReader): string {
    const bytes = reader.all();
    if (bytes[0] === 0) throw new RangeError("premature end");
    return Buffer.from(bytes).toString();
  },
};
const response = { ...text, decode: (bytes: Uint8Array): string => Buffer.from(bytes).toString() };
const codec: MethodCodec<string, string> = { request: text, response };
const identity = (bytes: Buffer): Buffer => bytes;

function duplex(client: Client, method: string): ClientDuplexStream<Buffer, Buffer> {
  const stream = client.makeBidiStreamRequest(method, identity, identity, new Metadata());
  stream.on("error", () => {});
  return stream;
}

describe("unary", () => {
  test("gives the response of the handler, which knows its caller", async () => {
    await using harness = await startHarness({
      "/t.T/Greet": unary<TestPeer, string, string>(
        codec,
        async (request, info) =>
          `${request} ${info.method} ${info.peer.number} ${info.meta("lang")} ${info.timeLeft()}`,
      ),
    });
    const metadata = new Metadata();
    metadata.set("lang", "de");
    const { messages, status } = await call(harness.client(), "/t.T/Greet", "hi", { metadata });
    expect(messages).toEqual(["hi /t.T/Greet 0 de Infinity"]);
    expect(status.code).toBe(Status.OK);
  });

  test("an error becomes its status, with details, and is reported; the secret part stays here", async () => {
    const reported: string[] = [];
    const failure = new AgentError("NOT_FOUND", "entry 7 of tenant secret", { publicMessage: "no such entry" });
    await using harness = await startHarness({
      "/t.T/Fail": unary<TestPeer, string, string>(
        codec,
        async () => {
          throw new Error("outer", { cause: failure });
        },
        {
          details: (error) => (error instanceof Error ? Buffer.from("why") : undefined),
          onError: (error, method) => void reported.push(`${method}: ${(error as Error).message}`),
        },
      ),
      "/t.T/Bug": unary<TestPeer, string, string>(codec, async () => {
        throw new TypeError("x is not a function");
      }),
      "/t.T/BadResponse": unary<TestPeer, string, string>(
        {
          request: text,
          response: {
            ...response,
            encode: () => {
              throw new TypeError("incomplete");
            },
          },
        },
        async () => "x",
      ),
    });
    const client = harness.client();
    const { status } = await call(client, "/t.T/Fail");
    expect([status.code, status.details]).toEqual([Status.NOT_FOUND, "no such entry"]);
    expect(status.metadata.get("grpc-status-details-bin")).toEqual([Buffer.from("why")]);
    expect(reported).toEqual(["/t.T/Fail: outer"]);
    for (const method of ["/t.T/Bug", "/t.T/BadResponse"]) {
      const bug = await call(client, method);
      expect([bug.status.code, bug.status.details]).toEqual([Status.INTERNAL, "internal error"]);
    }
  });

  test("a malformed request is INVALID_ARGUMENT in every kind of method", async () => {
    await using harness = await startHarness({
      "/t.T/Unary": unary<TestPeer, string, string>(codec, async (request) => request),
      "/t.T/Stream": serverStream<TestPeer, string, string>(codec, async function* (request) {
        yield request;
      }),
      "/t.T/Bidi": bidi<TestPeer, string, string>(codec, async function* (incoming) {
        yield* incoming;
      }),
    });
    const client = harness.client();
    for (const method of ["/t.T/Unary", "/t.T/Stream", "/t.T/Bidi"]) {
      const { status } = await call(client, method, "\0");
      expect([status.code, status.details]).toEqual([Status.INVALID_ARGUMENT, "request is no valid message"]);
    }
  });

  test("the signal aborts when the caller cancels", async () => {
    const seen: AbortSignal[] = [];
    await using harness = await startHarness({
      "/t.T/Hang": unary<TestPeer, string, string>(codec, async (_request, _call, signal) => {
        seen.push(signal);
        return new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      }),
    });
    const stream = openStream(harness.client(), "/t.T/Hang");
    void statusOf(stream);
    await until(() => seen.length === 1);
    stream.cancel();
    await until(() => seen[0]?.aborted === true);
  });
});

describe("server stream", () => {
  test("loses no message although the reader is slow, and produces no faster than it reads", async () => {
    let produced = 0;
    await using harness = await startHarness({
      "/t.T/List": serverStream<TestPeer, string, string>(codec, async function* () {
        for (let i = 0; i < 40; i++) {
          produced++;
          yield String(i).padStart(200_000);
        }
      }),
    });
    const stream = openStream(harness.client(), "/t.T/List");
    stream.pause();
    await until(() => produced > 1);
    for (let turns = 0; turns < 200; turns++) await new Promise((resolve) => setImmediate(resolve));
    expect(produced).toBeLessThan(40);
    const result = collect(stream);
    stream.resume();
    const { messages, status } = await result;
    expect(status.code).toBe(Status.OK);
    expect(messages.map(Number)).toEqual(Array.from({ length: 40 }, (_, i) => i));
  });

  test("an error after some messages ends it with its status", async () => {
    await using harness = await startHarness({
      "/t.T/List": serverStream<TestPeer, string, string>(codec, async function* () {
        yield "a";
        yield "b";
        throw publicError("RESOURCE_EXHAUSTED", "enough");
      }),
    });
    const { messages, status } = await call(harness.client(), "/t.T/List");
    expect(messages).toEqual(["a", "b"]);
    expect([status.code, status.details]).toEqual([Status.RESOURCE_EXHAUSTED, "enough"]);
  });

  test("a generator that waits for a slow reader is finished when the call is cancelled", async () => {
    let state = "idle";
    await using harness = await startHarness({
      "/t.T/List": serverStream<TestPeer, string, string>(codec, async function* () {
        try {
          for (;;) {
            state = "producing";
            yield "x".repeat(500_000);
          }
        } finally {
          state = "finished";
        }
      }),
    });
    const stream = openStream(harness.client(), "/t.T/List");
    void statusOf(stream);
    stream.pause();
    await until(() => state === "producing");
    for (let turns = 0; turns < 100; turns++) await new Promise((resolve) => setImmediate(resolve));
    stream.cancel();
    await until(() => state === "finished");
  });
});

describe("bidi", () => {
  test("answers each message, and ends after the peer's last", async () => {
    await using harness = await startHarness({
      "/t.T/Chat": bidi<TestPeer, string, string>(codec, async (incoming) =>
        (async function* () {
          for await (const message of incoming) yield `re: ${message}`;
          yield "bye";
        })(),
      ),
    });
    const stream = duplex(harness.client(), "/t.T/Chat");
    for (const word of ["a", "b", "c"]) stream.write(Buffer.from(word));
    stream.end();
    const { messages, status } = await collect(stream);
    expect(messages).toEqual(["re: a", "re: b", "re: c", "bye"]);
    expect(status.code).toBe(Status.OK);
  });

  test("a handler may end first; what the peer sends later is dropped", async () => {
    await using harness = await startHarness({
      "/t.T/Chat": bidi<TestPeer, string, string>(codec, async function* (incoming) {
        for await (const message of incoming) {
          yield message;
          return;
        }
      }),
    });
    const stream = duplex(harness.client(), "/t.T/Chat");
    stream.write(Buffer.from("a"));
    const result = collect(stream);
    stream.once("data", () => stream.write(Buffer.from("b")));
    expect((await result).messages).toEqual(["a"]);
  });

  test("the peer's next message waits until the handler takes it", async () => {
    const decoded: string[] = [];
    const counting = {
      ...codec,
      request: {
        ...text,
        decode(reader: RequestReader): string {
          const message = text.decode(reader);
          decoded.push(message);
          return message;
        },
      },
    };
    let go: (() => void) | undefined;
    await using harness = await startHarness({
      "/t.T/Chat": bidi<TestPeer, string, string>(counting, async function* (incoming) {
        for await (const message of incoming) {
          await new Promise<void>((resolve) => {
            go = resolve;
          });
          yield message;
        }
      }),
    });
    const stream = duplex(harness.client(), "/t.T/Chat");
    for (let i = 0; i < 50; i++) stream.write(Buffer.from(`${i}`));
    stream.end();
    const result = collect(stream);
    await until(() => go !== undefined);
    for (let turns = 0; turns < 50; turns++) await new Promise((resolve) => setImmediate(resolve));
    expect(decoded).toEqual(["0"]);
    let done = false;
    void result.then(() => {
      done = true;
    });
    await until(() => {
      go?.();
      return done;
    });
    expect((await result).messages).toHaveLength(50);
  });

  test("a reset is an error for a handler that waits for the next message, not the end of the request", async () => {
    let outcome = "";
    await using harness = await startHarness({
      "/t.T/Chat": bidi<TestPeer, string, string>(codec, async function* (incoming) {
        try {
          for await (const message of incoming) yield message;
        } catch (error) {
          outcome = (error as AgentError).code;
          throw error;
        }
      }),
    });
    const stream = duplex(harness.client(), "/t.T/Chat");
    stream.write(Buffer.from("a"));
    await new Promise((resolve) => stream.once("data", resolve));
    stream.cancel();
    await until(() => outcome === "CANCELLED");
    expect(harness.errors).toEqual([]);
  });
});
