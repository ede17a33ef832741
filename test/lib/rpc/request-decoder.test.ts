/** What a peer's requests may cost while they are unfinished, and that they come out whole however they are cut. */
import net from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { GrpcCode } from "../../../src/lib/grpc-status.ts";
import { type RequestAccount, RequestDecoder } from "../../../src/lib/rpc/request-decoder.ts";
import { callFields, frame, PREFACE } from "./frames.ts";
import { startHarness, until } from "./harness.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;
const message = (bytes: Buffer | string, flag = 0): Buffer => {
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([prefix, Buffer.from(bytes)]);
};

class Account implements RequestAccount {
  held = 0;
  peak = 0;
  readonly most: number;
  constructor(most = Number.POSITIVE_INFINITY) {
    this.most = most;
  }
  hold(bytes: number): boolean {
    if (this.held + bytes > this.most) return false;
    this.held += bytes;
    this.peak = Math.max(this.peak, this.held);
    return true;
  }
  release(bytes: number): void {
    this.held -= bytes;
  }
}

function make(options: { single?: boolean; most?: number; maxRequest?: number } = {}) {
  const account = new Account(options.most);
  const refused: string[] = [];
  const { single = false, maxRequest = 10_000 } = options;
  const refuse = (code: number, text: string) => void refused.push(`${code} ${text}`);
  return { account, refused, decoder: new RequestDecoder({ maxRequest, single, account, refuse }) };
}

const sent = [message(""), message("one"), message(""), message("x".repeat(5_000)), message("two")];

test.each([1, 2, 3, 5, 7, 64, 1_000, 10_000])("messages come out the same, %d bytes at a time", (size) => {
  const { decoder, account, refused } = make();
  const bytes = Buffer.concat(sent);
  const whole: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) whole.push(...decoder.write(bytes.subarray(at, at + size)));
  expect(Buffer.concat(whole).equals(bytes)).toBe(true);
  expect(whole).toHaveLength(sent.length);
  decoder.close();
  expect([account.held, refused]).toEqual([0, []]);
});

test("nothing of what was read lives on in a message", () => {
  const { decoder } = make();
  const read = Buffer.concat([message("one"), message("two").subarray(0, 6)]);
  const [first] = decoder.write(read);
  const [second] = decoder.write(message("two").subarray(6));
  read.fill(0);
  expect([first?.subarray(5).toString(), second?.subarray(5).toString()]).toEqual(["one", "two"]);
});

test("a beginning costs what came of it, not what was announced", () => {
  const { decoder, account } = make();
  decoder.write(message("x".repeat(9_000)).subarray(0, 600));
  expect(account.held).toBeLessThan(2_000);
  decoder.close();
  expect(account.held).toBe(0);
});

test("messages are counted until more is read; the one of a call that takes one until the call is over", () => {
  const streaming = make();
  streaming.decoder.write(message("x".repeat(1_000)));
  expect(streaming.account.held).toBeGreaterThan(1_000);
  streaming.decoder.write(message(""));
  expect(streaming.account.held).toBe(0);
  const single = make({ single: true });
  single.decoder.write(message("x".repeat(1_000)));
  single.decoder.write(message("").subarray(0, 2));
  expect(single.account.held).toBeGreaterThan(1_000);
  single.decoder.close();
  expect(single.account.held).toBe(0);
});

test("an empty request costs nothing, thousands at once do", () => {
  const { decoder, account, refused } = make({ most: 30_000 });
  decoder.write(message(""));
  expect(account.peak).toBe(0);
  expect(decoder.write(Buffer.alloc(5 * 3_000))).toEqual([]);
  expect(refused).toEqual([`${GrpcCode.RESOURCE_EXHAUSTED} too much of this user's requests is unfinished`]);
});

test.each([
  ["too long", message(Buffer.alloc(10_001)), `${GrpcCode.RESOURCE_EXHAUSTED} received message larger than max`],
  ["of four gigabytes", Buffer.from([0, 255, 255, 255, 255]), `${GrpcCode.RESOURCE_EXHAUSTED} received message larger`],
  ["compressed", message("x", 1), `${GrpcCode.INTERNAL} compressed flag set with identity or empty encoding`],
  ["with another flag", message("x", 2), `${GrpcCode.INTERNAL} compressed flag set`],
])("a message %s ends the call, by its prefix, once", (_what, bytes, expected) => {
  for (const size of [1, 4, bytes.length]) {
    const { decoder, account, refused } = make();
    for (let at = 0; at < bytes.length; at += size) expect(decoder.write(bytes.subarray(at, at + size))).toEqual([]);
    expect(decoder.write(message("later"))).toEqual([]);
    expect(refused).toEqual([expect.stringContaining(expected)]);
    decoder.close();
    expect(account.held).toBe(0);
  }
});

test("THE ATTACK: a request byte by byte, each in 64 KiB that must be ignored, holds next to nothing", async () => {
  await using harness = await startHarness({ "/t.T/Echo": { kind: "single", run: (call) => call.end() } });
  const socket = net.connect(harness.path).on("error", () => {});
  socket.resume();
  const write = (...bytes: Buffer[]): Promise<void> =>
    new Promise((resolve) => socket.write(Buffer.concat(bytes), () => resolve()));
  await write(
    PREFACE,
    frame(1, 4, 1, callFields("/t.T/Echo")),
    frame(0, 0, 1, message(Buffer.alloc(900)).subarray(0, 5)),
  );
  const ignored = frame(0xbe, 0, 0, Buffer.alloc(16_384));
  const held = (): number => {
    collectGarbage();
    return process.memoryUsage().arrayBuffers;
  };
  const before = held();
  // 40 MiB in all.
  for (let sent = 0; sent < 600; sent++)
    await write(frame(0, 0, 1, Buffer.alloc(1)), ignored, ignored, ignored, ignored);
  await until(() => socket.writableLength === 0);
  // What was read last may still be on its way through; kept, it would be 40 MiB for as long as the call.
  await until(() => held() - before < 12 * 1024 * 1024);
  socket.destroy();
});
