import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import http2 from "node:http2";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import tls from "node:tls";
import { Client, credentials, Metadata, status as Status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { GrpcCode } from "../../../src/lib/grpc-status.ts";
import { type Call, type Method, Reply } from "../../../src/lib/rpc/transport.ts";
import { rawCall } from "./frames.ts";
import { call, collect, openStream, startHarness, statusOf, type TestPeer, until } from "./harness.ts";

const reply = (text: string): Reply => new Reply(Buffer.from(text));
const single = (run: (call: Call<TestPeer>, request: Uint8Array) => void): Method<TestPeer> => ({
  kind: "single",
  run,
});
const echo = single((call, request) => {
  call.send(new Reply(request));
  call.end();
});

const ended = (call: Call<TestPeer>) => {
  call.send(reply("last"));
  call.end();
  return { message() {}, end() {} };
};

/** A call of which nothing is sent yet but its headers. */
function request(
  session: http2.ClientHttp2Session,
  path: string,
  more: http2.OutgoingHttpHeaders = {},
): http2.ClientHttp2Stream {
  const headers = { ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers", ...more };
  const stream = session.request(headers, { endStream: false });
  stream.on("error", () => {});
  stream.resume();
  return stream;
}

describe("calls", () => {
  test("a message goes there and back, and the call knows its connection", async () => {
    await using harness = await startHarness({
      "/t.T/Who": single((call, request) => {
        call.send(reply(`${call.method} ${call.peer.number} ${Buffer.from(request).toString()}`));
        call.end();
      }),
    });
    const first = harness.client();
    const second = harness.client();
    expect((await call(first, "/t.T/Who", "a")).messages).toEqual(["/t.T/Who 0 a"]);
    expect((await call(second, "/t.T/Who", "b")).messages).toEqual(["/t.T/Who 1 b"]);
    expect((await call(first, "/t.T/Who", "c")).messages).toEqual(["/t.T/Who 0 c"]);
    expect(harness.transport.connections).toBe(2);
    first.close();
    await until(() => harness.gone.length === 1);
    expect(harness.gone[0]?.number).toBe(0);
    expect(harness.transport.connections).toBe(1);
  });

  test("a method that is not in the table is UNIMPLEMENTED", async () => {
    await using harness = await startHarness({});
    const { status } = await call(harness.client(), "/t.T/Nothing");
    expect(status.code).toBe(Status.UNIMPLEMENTED);
  });

  test("a status carries its message and details, also beyond ASCII and with a lone surrogate", async () => {
    await using harness = await startHarness({
      "/t.T/Fail": single((call, request) => {
        call.end(
          GrpcCode.NOT_FOUND,
          `no such thing: ü${Buffer.from(request).toString()}\ud800`,
          Buffer.from([1, 2, 0xff]),
        );
        call.end(GrpcCode.OK);
      }),
      "/t.T/FailLater": single((call) => {
        call.send(reply("one"));
        call.end(GrpcCode.PERMISSION_DENIED, "no identity issued");
        call.send(reply("two"));
      }),
    });
    const client = harness.client();
    const { status } = await call(client, "/t.T/Fail", "%");
    expect(status.code).toBe(Status.NOT_FOUND);
    expect(status.details).toBe("no such thing: ü%\ufffd");
    expect(status.metadata.get("grpc-status-details-bin")).toEqual([Buffer.from([1, 2, 0xff])]);
    const later = await call(client, "/t.T/FailLater");
    expect(later.messages).toEqual(["one"]);
    expect(later.status.code).toBe(Status.PERMISSION_DENIED);
    expect(later.status.details).toBe("no identity issued");
  });

  test("metadata: values of a repeated name are joined, binary ones are base64, a missing one is undefined", async () => {
    const seen: (string | undefined)[] = [];
    await using harness = await startHarness({
      "/t.T/Meta": single((call) => {
        seen.push(call.meta("one"), call.meta("two"), call.meta("three-bin"), call.meta("four"));
        call.end();
      }),
    });
    const metadata = new Metadata();
    metadata.add("one", "true");
    metadata.add("two", "true");
    metadata.add("two", "true");
    metadata.add("three-bin", Buffer.from([0, 255]));
    await call(harness.client(), "/t.T/Meta", "", { metadata });
    expect(seen).toEqual(["true", "true, true", "AP8=", undefined]);
  });

  test("a handler that throws ends its call INTERNAL, is reported, and serves the next call", async () => {
    await using harness = await startHarness({
      "/t.T/Throw": single(() => {
        throw new Error("secret");
      }),
      "/t.T/Echo": echo,
    });
    const client = harness.client();
    const { status } = await call(client, "/t.T/Throw");
    expect(status.code).toBe(Status.INTERNAL);
    expect(status.details).toBe("internal error");
    expect(harness.errors).toEqual([{ error: new Error("secret"), method: "/t.T/Throw" }]);
    expect((await call(client, "/t.T/Echo", "x")).messages).toEqual(["x"]);
  });

  test("bidi: messages pass both ways, one at a time while the handler is busy", async () => {
    let release: (() => void) | undefined;
    const seen: string[] = [];
    await using harness = await startHarness({
      "/t.T/Bidi": {
        kind: "bidi",
        open: (call) => ({
          message(bytes) {
            seen.push(Buffer.from(bytes).toString());
            call.send(new Reply(bytes));
            if (seen.length > 1) return undefined;
            return new Promise<void>((resolve) => {
              release = resolve;
            });
          },
          end: () => call.end(),
        }),
      },
    });
    const identity = (bytes: Buffer): Buffer => bytes;
    const stream = harness.client().makeBidiStreamRequest("/t.T/Bidi", identity, identity, new Metadata());
    stream.write(Buffer.from("a"));
    stream.write(Buffer.from("b"));
    stream.end();
    await new Promise((resolve) => stream.once("data", resolve));
    expect(seen).toEqual(["a"]);
    release?.();
    const { messages, status } = await collect(stream);
    expect(messages).toEqual(["b"]);
    expect(status.code).toBe(Status.OK);
  });

  test("a TLS socket is as good, and its real address is there when the peer is named", async () => {
    const folder = await mkdtemp(join(tmpdir(), "rpc-tls-"));
    const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
    const request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"];
    execFileSync("openssl", [...request, "-subj", "/CN=localhost", "-keyout", key, "-out", cert], { stdio: "ignore" });
    const addresses: (string | undefined)[] = [];
    await using harness = await startHarness(
      {
        "/t.T/Who": single((call) => {
          call.send(
            reply(call.peer.socket instanceof tls.TLSSocket ? (call.peer.socket.getProtocol() ?? "") : "plain"),
          );
          call.end();
        }),
      },
      {
        onConnect(socket) {
          addresses.push((socket as net.Socket).remoteAddress);
          return { number: 0, socket: socket as net.Socket };
        },
      },
    );
    const server = tls.createServer(
      { key: await readFile(key), cert: await readFile(cert), ALPNProtocols: ["h2"], minVersion: "TLSv1.3" },
      (socket) => harness.transport.accept(socket),
    );
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as net.AddressInfo;
    const roots = credentials.createSsl(await readFile(cert));
    const client = new Client(`127.0.0.1:${port}`, roots, { "grpc.ssl_target_name_override": "localhost" });
    expect((await call(client, "/t.T/Who")).messages).toEqual(["TLSv1.3"]);
    expect(addresses).toEqual(["127.0.0.1"]);
    client.close();
    server.close();
    await rm(folder, { recursive: true });
  });
});

describe("ends", () => {
  test("a deadline ends the call, and the handler hears of it once", async () => {
    let cancelled = 0;
    let left = 0;
    await using harness = await startHarness({
      "/t.T/Hang": single((call) => {
        left = call.timeLeft();
        call.onCancel = () => cancelled++;
      }),
      "/t.T/Echo": single((call) => {
        left = call.timeLeft();
        call.end();
      }),
    });
    const client = harness.client();
    const { status } = await call(client, "/t.T/Hang", "", { deadline: Date.now() + 50 });
    expect(status.code).toBe(Status.DEADLINE_EXCEEDED);
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(50);
    await until(() => cancelled === 1);
    await call(client, "/t.T/Echo");
    expect(left).toBe(Infinity);
    expect(cancelled).toBe(1);
  });

  test("a deadline is noticed although the peer reads nothing", async () => {
    let cancelled = 0;
    await using harness = await startHarness({
      "/t.T/Flood": single((call) => {
        call.onCancel = () => cancelled++;
        for (let i = 0; i < 4; i++) call.send(new Reply(Buffer.alloc(200_000)));
      }),
    });
    const socket = net.connect(harness.path);
    socket.write(rawCall("/t.T/Flood", "50m"));
    await until(() => cancelled === 1);
    socket.destroy();
  });

  test("a cancelled call and a lost connection reach the handler", async () => {
    const calls: Call<TestPeer>[] = [];
    let cancelled = 0;
    await using harness = await startHarness({
      "/t.T/Hang": single((call) => {
        calls.push(call);
        call.onCancel = () => cancelled++;
      }),
    });
    const client = harness.client();
    const first = openStream(client, "/t.T/Hang");
    void statusOf(first);
    void statusOf(openStream(client, "/t.T/Hang"));
    await until(() => calls.length === 2);
    first.cancel();
    await until(() => cancelled === 1);
    expect(calls[0]?.send(reply("x"))).toBe(true);
    client.close();
    harness.peers[0]?.socket.destroy();
    await until(() => cancelled === 2);
  });

  test("onCancel is not called after end", async () => {
    let cancelled = 0;
    await using harness = await startHarness({
      "/t.T/End": single((call) => {
        call.onCancel = () => cancelled++;
        call.end();
      }),
    });
    const client = harness.client();
    await call(client, "/t.T/End");
    client.close();
    await until(() => harness.gone.length === 1);
    expect(cancelled).toBe(0);
  });
});

describe("before a request is read", () => {
  test("its method may end the call", async () => {
    let ran = false;
    await using harness = await startHarness({
      "/t.T/Denied": {
        kind: "single",
        open: async (call) => call.end(GrpcCode.PERMISSION_DENIED, "not you"),
        run() {
          ran = true;
        },
      },
      "/t.T/DeniedBidi": {
        kind: "bidi",
        open: (call) => ({
          ready: Promise.resolve().then(() => call.end(GrpcCode.PERMISSION_DENIED, "not you")),
          message: () => {
            ran = true;
          },
          end: () => {},
        }),
      },
    });
    const session = http2.connect("http://localhost", { createConnection: () => net.connect(harness.path) });
    for (const path of ["/t.T/Denied", "/t.T/DeniedBidi"]) {
      // No message, and no end of the request.
      const stream = request(session, path);
      const [headers] = (await once(stream, "response")) as [http2.IncomingHttpHeaders];
      expect(headers).toMatchObject({ "grpc-status": String(Status.PERMISSION_DENIED), "grpc-message": "not%20you" });
      stream.end(Buffer.alloc(5));
      await once(stream, "close");
    }
    session.destroy();
    expect(ran).toBe(false);
  });

  test("it waits for its method", async () => {
    const allowed = Promise.withResolvers<void>();
    const asked: string[] = [];
    const seen: string[] = [];
    await using harness = await startHarness({
      "/t.T/Single": {
        kind: "single",
        open(call) {
          asked.push(call.method);
          return allowed.promise;
        },
        run(call, request) {
          seen.push(Buffer.from(request).toString());
          call.end();
        },
      },
      "/t.T/Bidi": {
        kind: "bidi",
        open: (call) => {
          asked.push(call.method);
          return {
            ready: allowed.promise,
            message: (bytes) => void seen.push(Buffer.from(bytes).toString()),
            end: () => call.end(),
          };
        },
      },
    });
    const client = harness.client();
    const calls = [call(client, "/t.T/Single", "a"), call(client, "/t.T/Bidi", "b")];
    await until(() => asked.length === 2);
    for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
    expect(seen).toEqual([]);
    allowed.resolve();
    for (const { status } of await Promise.all(calls)) expect(status.code).toBe(Status.OK);
    expect(seen.sort()).toEqual(["a", "b"]);
  });
});

test("a peer that has its answer and goes on talking is hung up on: a stream that nobody counts would stay", async () => {
  await using harness = await startHarness({ "/t.T/Echo": echo, "/t.T/Bidi": { kind: "bidi", open: ended } });
  const session = http2.connect("http://localhost", { createConnection: () => net.connect(harness.path) });
  for (const [path, bytes, code] of [
    ["/t.T/Echo", Buffer.alloc(10), Status.UNIMPLEMENTED],
    ["/t.T/Echo", Buffer.from([0, 255, 0, 0, 0]), Status.RESOURCE_EXHAUSTED],
    ["/t.T/Bidi", Buffer.alloc(5), Status.OK],
    ["/t.T/None", Buffer.alloc(5), Status.UNIMPLEMENTED],
  ] as const) {
    const stream = request(session, path);
    let status: unknown;
    const keep = (headers: http2.IncomingHttpHeaders): void => {
      status = headers["grpc-status"] ?? status;
    };
    stream.on("response", keep).on("trailers", keep);
    stream.write(bytes);
    await once(stream, "close");
    expect([Number(status), stream.rstCode]).toEqual([code, http2.constants.NGHTTP2_NO_ERROR]);
  }
  session.destroy();
});

test("a call is closed once its answer was taken, or its peer has gone", async () => {
  const ended: string[] = [];
  const closed: string[] = [];
  await using harness = await startHarness({
    "/t.T/Echo": single((call, request) => {
      const name = Buffer.from(request).toString();
      call.onClose = () => void closed.push(name);
      call.send(new Reply(request));
      call.end();
      ended.push(name);
    }),
  });
  const session = http2.connect("http://localhost", {
    createConnection: () => net.connect(harness.path),
    settings: { initialWindowSize: 0 },
  });
  const ask = (name: string): http2.ClientHttp2Stream => {
    const stream = request(session, "/t.T/Echo");
    stream.end(Buffer.concat([Buffer.from([0, 0, 0, 0, name.length]), Buffer.from(name)]));
    return stream;
  };
  ask("late");
  const reset = ask("reset");
  await until(() => ended.length === 2);
  for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
  expect(closed).toEqual([]);
  reset.close(http2.constants.NGHTTP2_CANCEL);
  await until(() => closed.length === 1);
  expect(closed).toEqual(["reset"]);
  session.settings({ initialWindowSize: 65_535 });
  await until(() => closed.length === 2);
  session.settings({ initialWindowSize: 0 });
  ask("gone");
  await until(() => ended.length === 3);
  session.destroy();
  await until(() => closed.length === 3);
  expect(closed).toEqual(["reset", "late", "gone"]);
});

describe("bounds", () => {
  test("a slow reader gets the newest message, what it missed is dropped", async () => {
    let served: Call<TestPeer> | undefined;
    await using harness = await startHarness({
      "/t.T/Watch": single((call) => {
        served = call;
      }),
    });
    const stream = openStream(harness.client(), "/t.T/Watch");
    stream.pause();
    await until(() => served !== undefined);
    const big = (tag: string): Reply => new Reply(Buffer.alloc(1_000_000, tag));
    expect(served?.send(big("a"))).toBe(true);
    const drained = new Promise<void>((resolve) => {
      served!.onDrain = resolve;
    });
    for (const tag of ["b", "c", "d"]) expect(served?.send(big(tag))).toBe(false);
    const tags: string[] = [];
    stream.on("data", (bytes: Buffer) => tags.push(bytes.toString("latin1", 0, 1)));
    stream.resume();
    await drained;
    served?.end();
    expect((await statusOf(stream)).code).toBe(Status.OK);
    expect(tags).toEqual(["a", "d"]);
  });

  test("end with OK still delivers the unsent message, a failure does not", async () => {
    await using harness = await startHarness({
      "/t.T/Ok": single((call) => {
        for (const tag of ["a", "b", "c"]) call.send(reply(tag));
        call.end();
      }),
      "/t.T/Fail": single((call) => {
        for (const tag of ["a", "b", "c"]) call.send(reply(tag));
        call.end(GrpcCode.ABORTED, "no");
      }),
    });
    const client = harness.client();
    expect((await call(client, "/t.T/Ok")).messages).toEqual(["a", "c"]);
    const failed = await call(client, "/t.T/Fail");
    expect(failed.messages).toEqual(["a"]);
    expect(failed.status.code).toBe(Status.ABORTED);
  });

  test("an oversized request is RESOURCE_EXHAUSTED", async () => {
    await using harness = await startHarness({ "/t.T/Echo": echo });
    const client = harness.client();
    const { status } = await call(client, "/t.T/Echo", Buffer.alloc(1001));
    expect(status.code).toBe(Status.RESOURCE_EXHAUSTED);
    expect((await call(client, "/t.T/Echo", Buffer.alloc(1000))).status.code).toBe(Status.OK);
  });

  test("a method may have a bound of its own, larger or smaller, which is no other's", async () => {
    await using harness = await startHarness({
      "/t.T/Echo": echo,
      "/t.T/Large": { ...echo, maxRequest: 5000 },
      "/t.T/Small": { ...echo, maxRequest: 10 },
    });
    const client = harness.client();
    const code = async (method: string, size: number) => (await call(client, method, Buffer.alloc(size))).status.code;
    expect([await code("/t.T/Large", 5000), await code("/t.T/Large", 5001)]).toEqual([0, Status.RESOURCE_EXHAUSTED]);
    expect([await code("/t.T/Small", 10), await code("/t.T/Small", 11)]).toEqual([0, Status.RESOURCE_EXHAUSTED]);
    expect([await code("/t.T/Echo", 1000), await code("/t.T/Echo", 1001)]).toEqual([0, Status.RESOURCE_EXHAUSTED]);
  });

  test("a frame of more messages than any client sends at once is RESOURCE_EXHAUSTED, and not held", async () => {
    const heard: number[] = [];
    await using harness = await startHarness({
      "/t.T/Bidi": {
        kind: "bidi",
        open: (call) => {
          const index = heard.push(0) - 1;
          return { message: () => void heard[index]!++, end: () => call.end() };
        },
      },
      "/t.T/Echo": echo,
    });
    const session = http2.connect("http://localhost", { createConnection: () => net.connect(harness.path) });
    const code = async (method: string, messages: number): Promise<unknown> => {
      const stream = request(session, method);
      const ended = new Promise((resolve) => {
        const seen = (headers: http2.IncomingHttpHeaders): void => {
          if (headers["grpc-status"] !== undefined) resolve(headers["grpc-status"]);
        };
        stream.on("response", seen).on("trailers", seen);
      });
      stream.end(Buffer.alloc(5 * messages));
      return await ended;
    };
    expect(await code("/t.T/Bidi", 256)).toBe("0");
    expect(await code("/t.T/Bidi", 257)).toBe(String(Status.RESOURCE_EXHAUSTED));
    expect(heard).toEqual([256, 0]);
    expect(await code("/t.T/Echo", 257)).toBe(String(Status.RESOURCE_EXHAUSTED));
    session.destroy();
  });

  test("a compressed request is UNIMPLEMENTED, and every answer says what is understood", async () => {
    await using harness = await startHarness({ "/t.T/Echo": echo });
    for (const algorithm of [1, 2]) {
      const client = harness.client({ "grpc.default_compression_algorithm": algorithm });
      const { messages, status } = await call(client, "/t.T/Echo", Buffer.alloc(100));
      expect([messages, status.code]).toEqual([[], Status.UNIMPLEMENTED]);
    }
    const session = http2.connect("http://localhost", { createConnection: () => net.connect(harness.path) });
    for (const encoding of ["identity", "gzip"]) {
      const stream = request(session, "/t.T/Echo", { "grpc-encoding": encoding });
      stream.end(Buffer.alloc(5));
      const [headers] = (await once(stream, "response")) as [http2.IncomingHttpHeaders];
      expect(headers["grpc-accept-encoding"]).toBe("identity");
    }
    session.destroy();
  });

  test("more metadata than a call may hold is RESOURCE_EXHAUSTED, and its method hears nothing", async () => {
    let opened = 0;
    await using harness = await startHarness({
      "/t.T/Echo": {
        kind: "single",
        open: async () => void opened++,
        run(call, request) {
          call.send(new Reply(request));
          call.end();
        },
      },
      "/t.T/Bidi": {
        kind: "bidi",
        open: (call) => {
          opened++;
          return { message: () => {}, end: () => call.end() };
        },
      },
    });
    const client = harness.client();
    const metadata = (length: number): Metadata => {
      const made = new Metadata();
      for (let name = 0; name < 10; name++) made.set(`x-${name}`, "a".repeat(length / 10));
      return made;
    };
    for (const method of ["/t.T/Echo", "/t.T/Bidi"]) {
      const { status } = await call(client, method, "", { metadata: metadata(20_000) });
      expect(status).toMatchObject({ code: Status.RESOURCE_EXHAUSTED, details: "metadata is too long" });
    }
    expect(opened).toBe(0);
    expect((await call(client, "/t.T/Echo", "x", { metadata: metadata(7_000) })).messages).toEqual(["x"]);
  });

  test("a status message is cut where it would be too long for a header", async () => {
    await using harness = await startHarness({
      "/t.T/Fail": single((call) => call.end(GrpcCode.NOT_FOUND, "ü".repeat(1_000_000))),
    });
    const { status } = await call(harness.client(), "/t.T/Fail");
    expect(status).toMatchObject({ code: Status.NOT_FOUND, details: `${"ü".repeat(1_023)}…` });
  });

  test("each call that a peer begins is told of, also of a method that is not there, and only of its own transport", async () => {
    const begun: string[] = [];
    await using one = await startHarness(
      { "/t.T/Echo": echo },
      { onStream: (peer) => void begun.push(`one ${peer.number}`) },
    );
    await using other = await startHarness({ "/t.T/Echo": echo }, { onStream: () => void begun.push("other") });
    await using _silent = await startHarness({ "/t.T/Echo": echo });
    const client = one.client();
    await call(client, "/t.T/Echo");
    await call(client, "/no.such/Method");
    await call(_silent.client(), "/t.T/Echo");
    expect(begun).toEqual(["one 0", "one 0"]);
    await call(other.client(), "/t.T/Echo");
    expect(begun).toHaveLength(3);
  });

  test("a connection over the bound or without a peer is closed at once and counted", async () => {
    await using harness = await startHarness({ "/t.T/Echo": echo }, { maxConnections: 1 });
    const first = net.connect(harness.path);
    await until(() => harness.transport.connections === 1);
    const second = net.connect(harness.path);
    await new Promise((resolve) => second.on("close", resolve));
    expect(harness.transport.refused).toBe(1);
    first.destroy();
    await until(() => harness.transport.connections === 0);
    await using strict = await startHarness({ "/t.T/Echo": echo }, { onConnect: () => null });
    const third = net.connect(strict.path);
    await new Promise((resolve) => third.on("close", resolve));
    expect(strict.transport.refused).toBe(1);
    await using broken = await startHarness(
      {},
      {
        onConnect() {
          throw new Error("x");
        },
      },
    );
    const fourth = net.connect(broken.path);
    await new Promise((resolve) => fourth.on("close", resolve));
    expect(broken.errors).toHaveLength(1);
  });

  test("more streams than allowed on one connection wait or are refused, none is served", async () => {
    let open = 0;
    await using harness = await startHarness(
      {
        "/t.T/Hang": single((call) => {
          open++;
          call.onCancel = () => open--;
        }),
      },
      { maxStreams: 3 },
    );
    const client = harness.client();
    const streams = Array.from({ length: 6 }, () => openStream(client, "/t.T/Hang"));
    for (const stream of streams) void statusOf(stream);
    await until(() => open === 3);
    streams[0]?.cancel();
    await until(() => open === 2 || open === 3);
    expect(open).toBeLessThanOrEqual(3);
  });

  test("an old connection is told to go away; calls have the grace to end", async () => {
    await using harness = await startHarness(
      { "/t.T/Hang": single(() => {}), "/t.T/Echo": echo },
      { maxConnectionAgeMs: 50, maxConnectionAgeGraceMs: 50 },
    );
    const client = harness.client();
    const { status } = await call(client, "/t.T/Hang");
    expect([Status.UNAVAILABLE, Status.CANCELLED]).toContain(status.code);
    expect((await call(client, "/t.T/Echo", "new connection")).messages).toEqual(["new connection"]);
  });
});

describe("shutdown", () => {
  test("lets calls in progress end, refuses new connections, then resolves", async () => {
    let served: Call<TestPeer> | undefined;
    await using harness = await startHarness({
      "/t.T/Watch": single((call) => {
        served = call;
      }),
    });
    const result = call(harness.client(), "/t.T/Watch");
    await until(() => served !== undefined);
    let done = false;
    const shutdown = harness.transport.shutdown(10_000).then(() => {
      done = true;
    });
    const late = net.connect(harness.path);
    await new Promise((resolve) => late.on("close", resolve));
    expect(done).toBe(false);
    served?.send(reply("last"));
    served?.end();
    expect((await result).messages).toEqual(["last"]);
    await shutdown;
    expect(harness.transport.connections).toBe(0);
  });

  test("closes what is left when the grace is over", async () => {
    let cancelled = 0;
    let served = 0;
    await using harness = await startHarness({
      "/t.T/Hang": single((call) => {
        served++;
        call.onCancel = () => cancelled++;
      }),
    });
    const result = call(harness.client(), "/t.T/Hang");
    await until(() => served === 1);
    await harness.transport.shutdown(30);
    expect(harness.transport.connections).toBe(0);
    expect((await result).status.code).not.toBe(Status.OK);
    await until(() => cancelled === 1);
  });

  test("without connections it resolves at once, also twice", async () => {
    await using harness = await startHarness({});
    await harness.transport.shutdown(60_000);
    await harness.transport.shutdown(60_000);
  });
});
