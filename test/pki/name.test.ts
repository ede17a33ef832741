/** Distinguished names: written as Go writes them, read as they stand. */
import { describe, expect, test } from "vitest";
import { DerReader } from "../../src/pki/der-reader.ts";
import { oid, sequence, setOf, tlv } from "../../src/pki/der-writer.ts";
import { encodeName, type Name, nameOf, readName } from "../../src/pki/name.ts";

const parse = (der: Uint8Array) => readName(DerReader.of(der, 1000));
const attribute = (type: string, tag: number, text: string | Uint8Array) =>
  sequence(oid(type), tlv(tag, typeof text === "string" ? Buffer.from(text) : text));

test("C=US, O=SPIRE is the bytes that SPIRE writes", () => {
  const der = encodeName({ country: ["US"], organization: ["SPIRE"] });
  expect(Buffer.from(der).toString("hex")).toBe("301d310b3009060355040613025553310e300c060355040a13055350495245");
});

test("every attribute survives, in Go's order", () => {
  const name: Name = {
    country: ["US"],
    organization: ["Acme", "Überfirma"],
    organizationalUnit: ["DOWNSTREAM-1"],
    commonName: "a.test",
    serialNumber: "123",
    uniqueId: "abc",
  };
  const dn = parse(encodeName(name));
  expect(nameOf(dn)).toEqual(name);
  expect(dn.text).toBe("2.5.4.45=abc,SERIALNUMBER=123,CN=a.test,OU=DOWNSTREAM-1,O=Acme+O=Überfirma,C=US");
});

test("absent and empty attributes are left out", () => {
  expect(encodeName({ commonName: "", country: [] })).toEqual(sequence());
  expect(nameOf(parse(sequence()))).toEqual({});
  expect(parse(sequence()).text).toBe("");
});

test.each([
  ["comma", "a,b", "CN=a\\,b"],
  ["quotes", 'a"b', 'CN=a\\"b'],
  ["leading #", "#a", "CN=\\#a"],
  ["spaces at the ends", " a ", "CN=\\ a\\ "],
  ["line break", "a\nb", "CN=a\\0ab"],
  ["right-to-left override", "a\u202eb", "CN=a\\e2\\80\\aeb"],
])("text escapes %s", (_name, value, text) => {
  expect(parse(sequence(setOf(attribute("2.5.4.3", 0x0c, value)))).text).toBe(text);
});

test("text of what is no string is hexadecimal", () => {
  const der = sequence(setOf(attribute("2.5.4.3", 0x1e, Uint8Array.of(0, 0x41))), setOf(attribute("1.2.3", 0x0c, "x")));
  expect(parse(der).text).toBe("1.2.3=x,CN=#1e020041");
});

describe("refused", () => {
  test.each([
    ["empty relative name", sequence(setOf())],
    ["no set", sequence(attribute("2.5.4.3", 0x0c, "x"))],
    ["bad UTF-8", sequence(setOf(attribute("2.5.4.3", 0x0c, Uint8Array.of(0xff))))],
    ["PrintableString with an umlaut", sequence(setOf(attribute("2.5.4.3", 0x13, Uint8Array.of(0xe4))))],
    ["a third value in an attribute", sequence(setOf(sequence(oid("2.5.4.3"), tlv(0x0c), tlv(0x0c))))],
    ["trailing bytes in an attribute type", sequence(setOf(sequence(tlv(6, Uint8Array.of(0x80)), tlv(0x0c))))],
  ])("reading: %s", (_name, der) => {
    expect(() => parse(der)).toThrow(expect.objectContaining({ code: "MALFORMED" }));
  });
  test.each([
    ["control characters", "a\0b"],
    ["a lone surrogate", "\ud800"],
    ["257 characters", "x".repeat(257)],
  ])("writing: %s", (_name, commonName) => {
    expect(() => encodeName({ commonName })).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  });
});
