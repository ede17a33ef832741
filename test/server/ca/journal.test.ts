import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import {
  decodeJournal,
  EMPTY_JOURNAL,
  encodeJournal,
  type KeyJournalEntry,
  type X509JournalEntry,
} from "../../../src/server/ca/journal.ts";
import type { Der } from "../../../src/spiffe/svid.ts";

function entry(number: number, status: X509JournalEntry["status"] = "old"): X509JournalEntry {
  return {
    slot: number % 2 === 0 ? "A" : "B",
    authorityId: `0${number}`,
    status,
    issuedAt: number * 1000,
    notAfter: number * 2000,
    certificate: new Uint8Array([1, 2, number]) as Der,
  };
}

function key(number: number): KeyJournalEntry {
  const { certificate: _, ...common } = entry(number);
  return { ...common, authorityId: `Key${number}`, publicKey: new Uint8Array([3, number]) };
}

const journal = { x509: [entry(1), entry(2)], jwt: [key(3)], wit: [key(4), key(5)] };
const good = encodeJournal(journal);

/** The record with its text changed. */
function edited(change: (text: string) => string): Uint8Array {
  return new TextEncoder().encode(change(new TextDecoder().decode(good)));
}

describe("the journal", () => {
  test("reads as it was written", () => {
    expect(decodeJournal(good, "here")).toEqual(journal);
    expect(decodeJournal(encodeJournal(EMPTY_JOURNAL), "here")).toEqual(EMPTY_JOURNAL);
  });

  test("keeps the ten newest", () => {
    const entries = Array.from({ length: 12 }, (_, index) => entry(index));
    const read = decodeJournal(encodeJournal({ ...EMPTY_JOURNAL, x509: entries }), "here");
    expect(read.x509).toEqual(entries.slice(2));
  });

  test("never loses the authority that signs, nor the next", () => {
    const old = Array.from({ length: 12 }, (_, index) => entry(index + 1));
    const x509 = [entry(0, "active"), ...old, entry(13, "prepared")];
    const read = decodeJournal(encodeJournal({ ...EMPTY_JOURNAL, x509 }), "here");
    expect(read.x509).toEqual([entry(0, "active"), ...old.slice(4), entry(13, "prepared")]);
  });

  test("reads what the version before JWT authorities wrote", () => {
    const stored = {
      slot: "A",
      authorityId: "0a",
      status: "active",
      issuedAt: 1,
      notAfter: 2,
      certificate: "AQI=",
    };
    const body = JSON.stringify({ x509: [stored] });
    const hash = createHash("sha256").update(body).digest("hex");
    const data = new TextEncoder().encode(`holdfast-ca-journal 1 ${hash}\n${body}`);
    const certificate = new Uint8Array([1, 2]);
    expect(decodeJournal(data, "here")).toEqual({ x509: [{ ...stored, certificate }], jwt: [], wit: [] });
  });

  test.each<[string, Uint8Array, string]>([
    ["empty", new Uint8Array(), "begin"],
    ["something else", new TextEncoder().encode('{"x509":[]}'), "begin"],
    ["cut", good.subarray(0, good.length - 5), "checksum"],
    ["cut to its first line", edited((text) => text.slice(0, text.indexOf("\n"))), "begin"],
    ["a changed byte", edited((text) => text.replace('"A"', '"B"')), "checksum"],
    ["a changed hash", edited((text) => text.replace(/ 2 ./, " 2 _")), "checksum"],
    ["a version that is none", edited((text) => text.replace(" 2 ", " x ")), "version"],
    ["a newer version", edited((text) => text.replace(" 2 ", " 3 ")), "version 3"],
  ])("%s: refused, naming the place", (_name, data, words) => {
    expect(() => decodeJournal(data, "SQLite database /x/y")).toThrow(
      expect.objectContaining({
        code: "DATA_LOSS",
        message: expect.stringMatching(new RegExp(`SQLite database /x/y.*${words}`)),
      }),
    );
  });

  test("a right checksum over a wrong content", () => {
    const body = '{"x509":[{"slot":"C"}]}';
    const hash = createHash("sha256").update(body).digest("hex");
    const data = new TextEncoder().encode(`holdfast-ca-journal 1 ${hash}\n${body}`);
    expect(() => decodeJournal(data, "here")).toThrow(expect.objectContaining({ code: "DATA_LOSS" }));
  });
});
