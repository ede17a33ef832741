import { Metadata, type ServerInterceptingCallInterface } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { systemClock } from "../../../src/lib/clock.ts";
import { GrpcCode } from "../../../src/lib/grpc-status.ts";
import { GrpcJsCall } from "../../../src/lib/rpc/grpc-js-call.ts";

/** The library's half, which keeps the metadata as long as the stream. */
function begin(length: number) {
  const readQueue = ["a message", "another"];
  const inner = {
    getDeadline: () => Infinity,
    sendStatus() {},
    readQueue,
  } as unknown as ServerInterceptingCallInterface;
  const call = new GrpcJsCall({ clock: systemClock, onError() {} }, inner, "/t.T/M", undefined);
  const metadata = new Metadata();
  for (let index = 0; index < 10; index++) metadata.add(`x-${index}`, "a".repeat(length / 10));
  call.begin(metadata);
  return { call, metadata, readQueue };
}

test("metadata and unread messages are let go with the call, although its peer may leave the stream open", () => {
  const { call, metadata, readQueue } = begin(1_000);
  expect(call.meta("x-1")).toBe("a".repeat(100));
  call.end(GrpcCode.PERMISSION_DENIED, "no");
  expect(metadata.toHttp2Headers()).toEqual({});
  expect(readQueue).toEqual([]);
});

test("metadata that is too long is let go at once", () => {
  const { call, metadata } = begin(20_000);
  expect(call.ended).toBe(true);
  expect(metadata.toHttp2Headers()).toEqual({});
});
