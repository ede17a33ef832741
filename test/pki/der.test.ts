/** DER vectors: what the reader must refuse, and what the writer must write. */
import { describe, expect, test } from "vitest";
import { AgentError } from "../../src/lib/errors.ts";
import { DerReader } from "../../src/pki/der-reader.ts";
import { readTime, timeText } from "../../src/pki/der-time.ts";
import { ascii, namedBits, oid, sequence, setOf, time, tlv, unsigned } from "../../src/pki/der-writer.ts";

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replaceAll(" ", ""), "hex"));
const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** Reads all of the bytes with one method. */
function read<T>(bytes: Uint8Array, method: (reader: DerReader) => T): T {
  const reader = DerReader.of(bytes, 100_000);
  const value = method(reader);
  reader.end();
  return value;
}

const sequenceOf = (reader: DerReader): number[] => reader.listOf(0x30, 4, (inner) => inner.small(127));

const REFUSED: readonly (readonly [string, string, (reader: DerReader) => unknown, RegExp])[] = [
  ["nothing", "", (r) => r.any(), /cut short/],
  ["a tag alone", "02", (r) => r.any(), /cut short/],
  ["content cut short", "0202 01", (r) => r.any(), /over the end/],
  ["indefinite length", "3080 0000", (r) => r.any(), /indefinite/],
  ["length in two bytes where one does", "04 81 01 00", (r) => r.any(), /minimal/],
  ["length with a leading zero", `04 82 0080 ${"00".repeat(128)}`, (r) => r.any(), /minimal/],
  ["length of five bytes", "04 85 0000000001 00", (r) => r.any(), /more than 4/],
  ["length over four gigabytes", "04 84 ffffffff 00", (r) => r.any(), /over the end/],
  ["length 0xff", "04 ff 00", (r) => r.any(), /more than 4/],
  ["high tag number", "1f 81 01 00", (r) => r.any(), /high tag/],
  ["another tag", "0401 00", (r) => r.content(2), /want tag 0x2, found 0x4/],
  ["the end", "", (r) => r.content(2), /found the end/],
  ["trailing bytes", "0101ff 00", (r) => r.boolean(), /trailing/],
  ["trailing bytes in a sequence", "3004 020101 05", (r) => r.sequence((s) => s.small(9)), /trailing/],
  ["element longer than its sequence", "3003 0202 01 01", (r) => r.sequence((s) => s.any()), /over the end/],
  ["too many elements", "300f 020101 020101 020101 020101 020101", sequenceOf, /more than 4/],
  ["boolean 0x01", "010101", (r) => r.boolean(), /canonical/],
  ["boolean of two bytes", "0102ffff", (r) => r.boolean(), /canonical/],
  ["empty boolean", "0100", (r) => r.boolean(), /canonical/],
  ["empty integer", "0200", (r) => r.unsigned(), /empty/],
  ["negative integer", "0201 80", (r) => r.unsigned(), /negative/],
  ["integer with a superfluous zero", "0202 0001", (r) => r.unsigned(), /minimal/],
  ["integer over the bound", "0201 05", (r) => r.small(4), /too large/],
  ["integer of five bytes", "0205 0100000000", (r) => r.small(2 ** 31), /too large/],
  ["null with content", "0501 00", (r) => r.null(), /null/],
  ["empty object identifier", "0600", (r) => r.oid(), /length/],
  ["object identifier with a padded arc", "0603 2a8001", (r) => r.oid(), /minimal/],
  ["object identifier cut short", "0602 2a81", (r) => r.oid(), /cut short/],
  ["object identifier of 65 bytes", `0641 ${"01".repeat(65)}`, (r) => r.oid(), /length/],
  ["bit string with unused bits", "0302 0480", (r) => r.bitString(), /unused/],
  ["empty bit string", "0300", (r) => r.bitString(), /unused/],
  ["named bits: empty", "0300", (r) => r.namedBits(), /empty/],
  ["named bits: unused bits that are set", "0302 0781", (r) => r.namedBits(), /unused/],
  ["named bits: eight unused", "0302 0800", (r) => r.namedBits(), /unused/],
  ["named bits: unused bits without a byte", "0301 01", (r) => r.namedBits(), /unused/],
  ["named bits: three bytes", "0304 00808080", (r) => r.namedBits(), /too long/],
];

describe("refused", () => {
  test.each(REFUSED)("%s", (_name, bytes, method, message) => {
    const run = () => read(hex(bytes), method);
    expect(run).toThrow(AgentError);
    expect(run).toThrow(message);
    expect(run).toThrow(expect.objectContaining({ code: "MALFORMED" }));
  });

  test("nested too deep, without using the stack", () => {
    let bytes = new Uint8Array(0);
    for (let i = 0; i < 5000; i++) bytes = Buffer.from(sequence(bytes));
    const descend = (reader: DerReader): number => (reader.done ? 0 : 1 + reader.sequence(descend));
    expect(() => read(bytes, descend)).toThrow(/too deep/);
  });

  test("more bytes than asked for", () => {
    expect(() => DerReader.of(new Uint8Array(11), 10)).toThrow(/longer than 10/);
  });
});

const READ: readonly (readonly [string, string, (reader: DerReader) => unknown, unknown])[] = [
  ["true", "0101ff", (r) => r.boolean(), true],
  ["false", "010100", (r) => r.boolean(), false],
  ["zero", "020100", (r) => r.small(0), 0],
  ["128", "02020080", (r) => r.small(128), 128],
  ["the largest small integer", "02047fffffff", (r) => r.small(2 ** 31 - 1), 2 ** 31 - 1],
  ["a length of two bytes", `0482 0100 ${"00".repeat(256)}`, (r) => r.content(4).length, 256],
  ["2.5.29.17", "0603551d11", (r) => r.oid(), "2.5.29.17"],
  ["1.2.840.113549.1.1.11", "06092a864886f70d01010b", (r) => r.oid(), "1.2.840.113549.1.1.11"],
  ["0.39 and 1.39", "060127", (r) => r.oid(), "0.39"],
  ["1.39", "06014f", (r) => r.oid(), "1.39"],
  ["2.999", "06028837", (r) => r.oid(), "2.999"],
  ["an arc that is a UUID", "061369 83f8f5e5d4c3b2a190fffefdfcfbfaf97f01", (r) => r.oid().startsWith("2.25."), true],
  ["digitalSignature", "03020780", (r) => r.namedBits(), 1],
  ["decipherOnly", "0303070080", (r) => r.namedBits(), 1 << 8],
  ["named bits with trailing zeros, as genuine certificates have them", "03020080", (r) => r.namedBits(), 1],
  ["an absent element", "", (r) => r.optional(0xa0, (inner) => inner.small(1)), undefined],
];

test.each(READ)("reads %s", (_name, bytes, method, value) => {
  expect(read(hex(bytes), method)).toEqual(value);
});

describe("time", () => {
  const at = (tag: number, text: string) => readTime(tag, Buffer.from(text, "latin1"));
  test.each([
    [0x17, "260102030405Z", "2026-01-02T03:04:05.000Z"],
    [0x17, "491231235959Z", "2049-12-31T23:59:59.000Z"],
    [0x17, "500101000000Z", "1950-01-01T00:00:00.000Z"],
    [0x17, "240229000000Z", "2024-02-29T00:00:00.000Z"],
    [0x18, "20500101000000Z", "2050-01-01T00:00:00.000Z"],
    [0x18, "99991231235959Z", "9999-12-31T23:59:59.000Z"],
    [0x18, "00040229000000Z", "0004-02-29T00:00:00.000Z"],
  ])("%i %s", (tag, text, iso) => {
    expect(new Date(at(tag, text)).toISOString()).toBe(iso);
  });
  test.each([
    [0x17, "2601020304Z", "no seconds"],
    [0x17, "260102030405+0000", "an offset"],
    [0x17, "260102030405z", "small z"],
    [0x17, "26010203040 Z", "a space"],
    [0x17, "260229000000Z", "29 February of 2026"],
    [0x17, "260431000000Z", "31 April"],
    [0x17, "261301000000Z", "month 13"],
    [0x17, "260001000000Z", "month 0"],
    [0x17, "260100000000Z", "day 0"],
    [0x17, "260101240000Z", "hour 24"],
    [0x17, "260101006000Z", "minute 60"],
    [0x17, "260101000060Z", "a leap second"],
    [0x17, "20260102030405Z", "four digits of year in UTCTime"],
    [0x18, "260102030405Z", "two digits of year in GeneralizedTime"],
    [0x18, "20260102030405.5Z", "a fraction"],
    [0x13, "260102030405Z", "another tag"],
    [0x17, "", "nothing"],
  ])("%i %s is refused: %s", (tag, text) => {
    expect(() => at(tag, text)).toThrow(/time/);
  });
  test("is written as UTCTime from 1950 to 2049, else as GeneralizedTime", () => {
    expect(timeText(Date.UTC(2049, 11, 31, 23, 59, 59, 999))).toEqual({ tag: 0x17, text: "491231235959Z" });
    expect(timeText(Date.UTC(2050, 0, 1))).toEqual({ tag: 0x18, text: "20500101000000Z" });
    expect(timeText(Date.UTC(1949, 11, 31))).toEqual({ tag: 0x18, text: "19491231000000Z" });
    expect(toHex(time(0))).toBe(`170d${Buffer.from("700101000000Z").toString("hex")}`);
  });
});

describe("writes", () => {
  test.each([0, 1, 127, 128, 255, 256, 65_535, 65_536, 70_000])("a length of %i", (length) => {
    const bytes = tlv(4, new Uint8Array(length));
    expect(read(bytes, (r) => r.content(4).length)).toBe(length);
  });
  test.each([
    ["00", "020100"],
    ["", "020100"],
    ["0000", "020100"],
    ["80", "02020080"],
    ["00ff", "020200ff"],
    ["7fff", "02027fff"],
  ])("integer %s", (bytes, der) => {
    expect(toHex(unsigned(hex(bytes)))).toBe(der);
  });
  test.each([
    [[], "030100"],
    [[0], "03020780"],
    [[5, 6], "03020106"],
    [[0, 8], "0303078080"],
  ])("named bits %j", (bits, der) => {
    expect(toHex(namedBits(...bits))).toBe(der);
  });
  test.each([
    "1.2.840.113549.1.1.11",
    "2.5.29.17",
    "0.9.2342.19200300.100.1.25",
    "2.999.16384",
    "1.3.6.1.4.1.311.21.8.268435455",
  ])("object identifier %s", (dotted) => {
    expect(read(oid(dotted), (r) => r.oid())).toBe(dotted);
  });
  test("a set in ascending order", () => {
    expect(toHex(setOf(hex("020102"), hex("020101")))).toBe("3106020101020102");
  });
  test("no text outside printable ASCII", () => {
    expect(() => ascii(0x16, "a\0b")).toThrow(AgentError);
    expect(() => ascii(0x16, "ä")).toThrow(AgentError);
  });
});
