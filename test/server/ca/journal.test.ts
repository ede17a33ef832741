import { describe, expect, test } from "vitest";
import { decodeJournal, encodeJournal, type JournalEntry } from "../../../src/server/ca/journal.ts";
import type { Der } from "../../../src/spiffe/svid.ts";

function entry(number: number): JournalEntry {
  return {
    slot: number % 2 === 0 ? "A" : "B",
    authorityId: `0${number}`,
    status: "active",
    issuedAt: number * 1000,
    notAfter: number * 2000,
    certificate: new Uint8Array([1, 2, number]) as Der,
  };
}

const good = encodeJournal({ x509: [entry(1), entry(2)] });

/** The record with its text changed. */
function edited(change: (text: string) => string): Uint8Array {
  return new TextEncoder().encode(change(new TextDecoder().decode(good)));
}

describe("the journal", () => {
  test("reads as it was written", () => {
    expect(decodeJournal(good, "here")).toEqual({ x509: [entry(1), entry(2)] });
    expect(decodeJournal(encodeJournal({ x509: [] }), "here")).toEqual({ x509: [] });
  });

  test("keeps the ten newest", () => {
    const entries = Array.from({ length: 12 }, (_, index) => entry(index));
    expect(decodeJournal(encodeJournal({ x509: entries }), "here").x509).toEqual(entries.slice(2));
  });

  test.each<[string, Uint8Array, string]>([
    ["empty", new Uint8Array(), "begin"],
    ["something else", new TextEncoder().encode('{"x509":[]}'), "begin"],
    ["cut", good.subarray(0, good.length - 5), "checksum"],
    ["cut to its first line", edited((text) => text.slice(0, text.indexOf("\n"))), "begin"],
    ["a changed byte", edited((text) => text.replace('"A"', '"B"')), "checksum"],
    ["a changed hash", edited((text) => text.replace(/ 1 ./, " 1 _")), "checksum"],
    ["a version that is none", edited((text) => text.replace(" 1 ", " x ")), "version"],
    ["a newer version", edited((text) => text.replace(" 1 ", " 2 ")), "version 2"],
  ])("%s: refused, naming the place", (_name, data, words) => {
    expect(() => decodeJournal(data, "SQLite database /x/y")).toThrow(
      expect.objectContaining({
        code: "DATA_LOSS",
        message: expect.stringMatching(new RegExp(`SQLite database /x/y.*${words}`)),
      }),
    );
  });

  test("a right checksum over a wrong content", async () => {
    const { createHash } = await import("node:crypto");
    const body = '{"x509":[{"slot":"C"}]}';
    const hash = createHash("sha256").update(body).digest("hex");
    const data = new TextEncoder().encode(`holdfast-ca-journal 1 ${hash}\n${body}`);
    expect(() => decodeJournal(data, "here")).toThrow(expect.objectContaining({ code: "DATA_LOSS" }));
  });
});
