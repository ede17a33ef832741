/** Peers that send what no library would: the process lives, their connection may go, others are served. */
import net from "node:net";
import { status as Status } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { Reply } from "../../../src/lib/rpc/transport.ts";
import { callFields, fields, frame, PREFACE } from "./frames.ts";
import { call, startHarness, until } from "./harness.ts";

const reset = (stream: number): Buffer => frame(3, 0, stream, Buffer.from([0, 0, 0, 8]));
const message = (size: number): Buffer => frame(0, 1, 1, Buffer.alloc(5 + size));

const CASES: Readonly<Record<string, readonly Buffer[]>> = {
  "nothing at all": [],
  "another protocol": [Buffer.from("GET / HTTP/1.1\r\nhost: x\r\n\r\n")],
  "an unknown method, reset at once": [PREFACE, frame(1, 4, 1, callFields("/x/Y")), reset(1)],
  "a known method, reset at once": [PREFACE, frame(1, 4, 1, callFields("/t.T/Echo")), reset(1)],
  "no content type": [
    PREFACE,
    frame(1, 4, 1, fields({ ":method": "POST", ":scheme": "http", ":path": "/x" })),
    reset(1),
  ],
  "a method beyond ASCII": [PREFACE, frame(1, 5, 1, callFields("/x/\xff\xfe"))],
  "metadata beyond ASCII": [PREFACE, frame(1, 5, 1, callFields("/t.T/Echo", { "x-a": "\xff\x80" }))],
  "a deadline that is none": [PREFACE, frame(1, 5, 1, callFields("/t.T/Echo", { "grpc-timeout": "soon" }))],
  "a deadline in the past": [PREFACE, frame(1, 5, 1, callFields("/t.T/Echo", { "grpc-timeout": "0n" }))],
  "no message": [PREFACE, frame(1, 5, 1, callFields("/t.T/Echo"))],
  "two messages": [PREFACE, frame(1, 4, 1, callFields("/t.T/Echo")), frame(0, 1, 1, Buffer.alloc(10))],
  "half a message": [PREFACE, frame(1, 4, 1, callFields("/t.T/Echo")), frame(0, 1, 1, Buffer.from([0, 0, 0, 0, 9, 1]))],
  "an unknown encoding": [
    PREFACE,
    frame(1, 4, 1, callFields("/t.T/Echo", { "grpc-encoding": "zip" })),
    frame(0, 1, 1, Buffer.from([1, 0, 0, 0, 1, 5])),
  ],
  "gzip that is none": [
    PREFACE,
    frame(1, 4, 1, callFields("/t.T/Echo", { "grpc-encoding": "gzip" })),
    frame(0, 1, 1, Buffer.from([1, 0, 0, 0, 1, 5])),
  ],
  "a message of four gigabytes": [
    PREFACE,
    frame(1, 4, 1, callFields("/t.T/Echo")),
    frame(0, 0, 1, Buffer.from([0, 255, 255, 255, 255])),
  ],
  "names of built-in properties": [
    PREFACE,
    frame(1, 4, 1, callFields("/t.T/Echo", { constructor: "1", tostring: "2" })),
    message(1),
  ],
  "a bidi call, reset in the middle": [
    PREFACE,
    frame(1, 4, 1, callFields("/t.T/Bidi")),
    frame(0, 0, 1, Buffer.alloc(5)),
    reset(1),
  ],
  "GOAWAY in the middle": [PREFACE, frame(1, 4, 1, callFields("/t.T/Echo")), frame(7, 0, 0, Buffer.alloc(8))],
  "a CONNECT request": [PREFACE, frame(1, 5, 1, fields({ ":method": "CONNECT", ":authority": "x" }))],
};

async function start() {
  return startHarness({
    "/t.T/Echo": {
      kind: "single",
      run(served, request) {
        served.send(new Reply(request));
        served.end();
      },
    },
    "/t.T/Bidi": { kind: "bidi", open: (served) => ({ message: () => undefined, end: () => served.end() }) },
  });
}

test.each(Object.entries(CASES))("%s", async (_name, bytes) => {
  await using harness = await start();
  const socket = net.connect(harness.path);
  socket.on("error", () => {});
  let received = 0;
  socket.on("data", (data) => {
    received += data.length;
  });
  socket.write(Buffer.concat([...bytes]));
  if (bytes.length > 0) await until(() => received > 0 || socket.destroyed);
  for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
  expect((await call(harness.client(), "/t.T/Echo", "well")).messages).toEqual(["well"]);
  socket.destroy();
  expect(harness.errors).toEqual([]);
});

test("thousands of connections of noise", async () => {
  await using harness = await start();
  let seed = 12_345;
  const random = (bound: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
    return seed % bound;
  };
  const bodies = Object.values(CASES).map((bytes) => Buffer.concat([...bytes]));
  for (let round = 0; round < 60; round++) {
    await Promise.all(
      Array.from({ length: 50 }, async () => {
        const body = Buffer.from(bodies[random(bodies.length)] ?? "");
        for (let flips = random(6); flips > 0 && body.length > 0; flips--) {
          // Mostly behind the preface, where something is parsed.
          body[body.length > 40 && random(8) > 0 ? 33 + random(body.length - 33) : random(body.length)] = random(256);
        }
        const socket = net.connect(harness.path);
        await new Promise((resolve) => {
          socket.on("error", () => {});
          socket.on("close", resolve);
          socket.write(body.subarray(0, random(4) === 0 ? random(body.length + 1) : body.length), () => {
            if (random(2) === 0) socket.end();
            else socket.destroy();
          });
          socket.resume();
          // What the server keeps open is closed from here.
          setImmediate(() => setImmediate(() => socket.destroy()));
        });
      }),
    );
  }
  const { messages, status } = await call(harness.client(), "/t.T/Echo", "well");
  expect([messages, status.code]).toEqual([["well"], Status.OK]);
  expect(harness.errors).toEqual([]);
  await until(() => harness.transport.connections === 1);
});
