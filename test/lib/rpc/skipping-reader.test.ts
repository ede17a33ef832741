import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { describe, expect, test } from "vitest";
import { DiscoveryRequest } from "../../../src/gen/envoy/service/discovery/v3/discovery.ts";
import { SkippingReader } from "../../../src/lib/rpc/skipping-reader.ts";
import { RequestReader } from "../../../src/lib/rpc/typed.ts";

/** What either reader makes of the bytes: a message, or that they are none. */
function readBy(Reader: typeof RequestReader, bytes: Uint8Array): unknown {
  try {
    return DiscoveryRequest.decode(new Reader(bytes));
  } catch {
    return "refused";
  }
}

/** A request whose node and body hold unknown fields of every wire type, groups in groups included. */
function request(): Uint8Array {
  const unknown = (writer: BinaryWriter): BinaryWriter =>
    writer
      .uint32((90 << 3) | 0)
      .uint64(1n << 60n)
      .uint32((91 << 3) | 1)
      .fixed64(7n)
      .uint32((92 << 3) | 2)
      .string("an extension")
      .uint32((93 << 3) | 3)
      .uint32((94 << 3) | 3)
      .uint32((95 << 3) | 2)
      .bytes(new Uint8Array(200))
      .uint32((94 << 3) | 4)
      .uint32((93 << 3) | 4)
      .uint32((96 << 3) | 5)
      .fixed32(7);
  const node = unknown(unknown(new BinaryWriter())).finish();
  const writer = new BinaryWriter().uint32(10).string("3").uint32(18).bytes(node).uint32(26).string("default");
  return unknown(writer).uint32(42).string("nonce").finish();
}

describe("a reader that skips", () => {
  const whole = request();

  test("reads what the library's reader reads", () => {
    const message = readBy(SkippingReader, whole);
    expect(message).toMatchObject({ versionInfo: "3", resourceNames: ["default"], responseNonce: "nonce" });
    expect(message).toEqual(readBy(RequestReader, whole));
  });

  test("takes and refuses the same: every truncation, and every byte changed", () => {
    for (let length = 0; length < whole.length; length++) {
      const cut = whole.subarray(0, length);
      expect(readBy(SkippingReader, cut)).toEqual(readBy(RequestReader, cut));
    }
    for (let at = 0; at < whole.length; at++) {
      for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
        const changed = Uint8Array.from(whole);
        changed[at] = value;
        expect(readBy(SkippingReader, changed)).toEqual(readBy(RequestReader, changed));
      }
    }
  });

  test("a length beyond the message is refused", () => {
    for (const length of [5, 2 ** 31, 2 ** 32 - 1]) {
      const bytes = new BinaryWriter()
        .uint32((92 << 3) | 2)
        .uint32(length)
        .finish();
      expect(readBy(SkippingReader, bytes)).toBe("refused");
    }
  });
});
