/** Reading certificates: fields, and what is refused before anyone asks about trust. */
import { describe, expect, test } from "vitest";
import { parseCertificate, spiffeIdOf, splitCertificates } from "../../src/pki/certificate.ts";
import { sequence, tlv } from "../../src/pki/der-writer.ts";
import { spkiOf } from "../../src/pki/keys.ts";
import { aki, ext, gn, LEAF_ID, makeCa, makeCert, makeLeaf, NOW } from "./make.ts";

const root = makeCa();

test("a certificate's fields", () => {
  const leaf = makeLeaf(root, {}, [ext.unknown(false)]);
  const cert = parseCertificate(leaf.der);
  expect(cert.der).toBe(leaf.der);
  expect(cert.uriSans).toEqual([LEAF_ID]);
  expect(spkiOf(cert.publicKey)).toEqual(new Uint8Array(leaf.key.spki));
  expect(cert.publicKey).toBe(cert.publicKey);
  expect(cert.issuer.der).toEqual(root.name);
  expect(cert.extensions.at(-1)).toMatchObject({ oid: "1.3.6.1.4.1.99999.1", critical: false });
  expect(cert.keyUsage).toEqual(new Set(["digitalSignature", "keyEncipherment", "keyAgreement"]));
});

test("a certificate without extensions", () => {
  expect(parseCertificate(makeCert(undefined, { version: new Uint8Array(0) }).der)).toMatchObject({
    version: 1,
    isCa: false,
    keyUsage: undefined,
    extKeyUsage: undefined,
    sans: [],
    nameConstraints: undefined,
    subjectKeyId: undefined,
    authorityKeyId: undefined,
  });
});

test("what foreign certificates have: explicit defaults, all parts of an authority key identifier", () => {
  const explicitFalse = Uint8Array.of(0x30, 3, 1, 1, 0);
  const fullAki = sequence(
    tlv(0x80, Uint8Array.of(1, 2)),
    tlv(0xa1, gn.directory(root.name)),
    tlv(0x82, Uint8Array.of(5)),
  );
  const cert = parseCertificate(
    makeCert(undefined, {
      extensions: [ext.raw("2.5.29.19", false, explicitFalse), ext.raw("2.5.29.35", false, fullAki)],
    }).der,
  );
  expect(cert.isCa).toBe(false);
  expect(cert.authorityKeyId).toEqual(Uint8Array.of(1, 2));
});

test("a key that is not accepted shows when it is asked for", () => {
  const spki = Buffer.from(`302a300506032b6570032100${"00".repeat(32)}`, "hex");
  const cert = parseCertificate(makeCert(undefined, { spki }).der);
  expect(() => cert.publicKey).toThrow(expect.objectContaining({ code: "UNTRUSTED" }));
});

describe("SPIFFE ID", () => {
  test.each([
    ["is the URI", ext.uri(LEAF_ID), LEAF_ID],
    ["may have no path, as a CA's has", ext.uri("spiffe://example.org"), "spiffe://example.org"],
  ])("%s", (_name, san, id) => {
    expect(spiffeIdOf(parseCertificate(makeCert(undefined, { extensions: [san] }).der))).toBe(id);
  });
  test.each([
    ["no name", ext.unknown(false)],
    ["two URIs", ext.uri(LEAF_ID, LEAF_ID)],
    ["another URI", ext.uri("https://example.org/a")],
  ])("there is none: %s", (_name, san) => {
    const cert = parseCertificate(makeCert(undefined, { extensions: [san] }).der);
    expect(() => spiffeIdOf(cert)).toThrow(expect.objectContaining({ code: "UNTRUSTED" }));
  });
});

describe("malformed", () => {
  const withExtensions = (...extensions: Uint8Array[]) => makeCert(undefined, { extensions }).der;
  test.each([
    ["empty alternative names", withExtensions(ext.san())],
    ["unknown kind of alternative name", withExtensions(ext.san(tlv(0x89, Uint8Array.of(1))))],
    ["address of five bytes", withExtensions(ext.san(gn.ip(1, 2, 3, 4, 5)))],
    ["URI that is not ASCII", withExtensions(ext.san(tlv(0x86, Uint8Array.of(0xff))))],
    ["DNS name with a NUL", withExtensions(ext.san(gn.dns("a.test\0.b.test")))],
    ["directory name that is none", withExtensions(ext.san(tlv(0xa4, Uint8Array.of(5, 0))))],
    ["empty extended key usage", withExtensions(ext.eku())],
    ["extension with trailing bytes", withExtensions(ext.raw("2.5.29.14", false, Uint8Array.of(4, 1, 1, 0)))],
    [
      "authority key identifier in another order",
      withExtensions(ext.raw("2.5.29.35", false, sequence(tlv(0x82), tlv(0x80)))),
    ],
    [
      "too many extensions",
      withExtensions(...Array.from({ length: 65 }, (_, i) => ext.raw(`1.2.${i}`, false, tlv(5)))),
    ],
    ["the same extension twice", withExtensions(aki(root.key), aki(root.key))],
    ["version 4", makeCert(undefined, { version: tlv(0xa0, Uint8Array.of(2, 1, 3)) }).der],
    ["time that does not exist", makeCert(undefined, { notBefore: NOW }).der.map((b) => (b === 0x5a ? 0x59 : b))],
    ["nothing", new Uint8Array(0)],
  ])("%s", (_name, der) => {
    expect(() => parseCertificate(der)).toThrow(expect.objectContaining({ code: "MALFORMED" }));
  });
});

describe("concatenated certificates", () => {
  const [one, two] = [root.der, makeLeaf(root).der];
  test("are split", () => {
    expect(splitCertificates(Buffer.concat([one, two])).map((der) => Buffer.from(der))).toEqual([
      Buffer.from(one),
      Buffer.from(two),
    ]);
    expect(splitCertificates(new Uint8Array(0))).toEqual([]);
  });
  test.each([
    ["a cut one", Buffer.concat([one, two]).subarray(0, -1)],
    ["bytes between them", Buffer.concat([one, Uint8Array.of(0), two])],
    ["too many", Buffer.concat(Array.from({ length: 1001 }, () => sequence()))],
    ["more than 4 MiB", new Uint8Array(4 * 1024 * 1024 + 1)],
  ])("refused: %s", (_name, der) => {
    expect(() => splitCertificates(der)).toThrow(expect.objectContaining({ code: "MALFORMED" }));
  });
});
