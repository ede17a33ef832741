/** TPMT_PUBLIC, read as a TPM writes it. */
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import {
  has,
  headOf,
  nameOf,
  ObjectAttribute,
  parametersOf,
  parsePublicArea,
  spkiOf,
} from "../../../../src/attestors/tpm/structures/public-area.ts";
import {
  AK_ATTRIBUTES,
  Bit,
  cat,
  encodePublic,
  hex,
  NULL_ALG,
  type PublicFields,
  tpm2b,
  u16,
  u32,
} from "../../../fakes/soft-tpm/structures.ts";
import { ecKey, rsaFromPool, scheme, softAk } from "../../../fakes/soft-tpm/tpm.ts";
import { expectExact, expectMalformed } from "./malformed.ts";

const EC = softAk("ec-p256");
const RSA = softAk("rsa-2048");

const parse = (fields: PublicFields): ReturnType<typeof parsePublicArea> => parsePublicArea(encodePublic(fields));

describe("a public area", () => {
  test.each([
    ["P-256", EC],
    ["P-384", softAk("ec-p256", ecKey("secp384r1"))],
    ["P-521", softAk("ec-p256", ecKey("secp521r1"))],
    ["RSA", RSA],
  ] as const)("%s: its members, and the key as a SubjectPublicKeyInfo", (_name, ak) => {
    const bytes = encodePublic(ak.fields);
    const area = parsePublicArea(bytes);
    expect(area.bytes).toBe(bytes);
    expect(area).toMatchObject({ nameAlg: "sha256", attributes: AK_ATTRIBUTES, symmetricBits: undefined });
    expect(area.scheme).toEqual({ kind: ak === RSA ? "rsassa" : "ecdsa", hash: "sha256" });
    expect(Buffer.from(spkiOf(area))).toEqual(ak.key.spki);
  });

  test.each([
    ["EC", EC],
    ["RSA", RSA],
  ] as const)("%s: read to its last byte, and no further", (_name, ak) => {
    expectExact(parsePublicArea, encodePublic(ak.fields), "TPMT_PUBLIC");
  });

  test("a coordinate with leading zeros, which TPMs may leave out", () => {
    let key = ecKey("prime256v1");
    const xOf = (): Buffer => Buffer.from(key.privateKey.export({ format: "jwk" }).x ?? "", "base64url");
    while (xOf()[0] !== 0) key = ecKey("prime256v1");
    const ak = softAk("ec-p256", key);
    const short = cat(tpm2b(xOf().subarray(1)), ak.fields.unique.subarray(34));
    for (const unique of [ak.fields.unique, short]) {
      expect(Buffer.from(spkiOf(parse({ ...ak.fields, unique })))).toEqual(key.spki);
    }
  });

  test("an exponent that is written out, or stands for the usual one", () => {
    const three = parse({ ...RSA.fields, parameters: cat(u16(2048), u32(3)) });
    const usual = parse({ ...RSA.fields, parameters: cat(u16(2048), u32(65_537)) });
    expect(three.key).toMatchObject({ e: Uint8Array.of(3) });
    expect(Buffer.from(spkiOf(usual))).toEqual(rsaFromPool("ak").spki);
  });

  test("a storage key has a cipher, and no scheme", () => {
    const area = parse({ ...EC.fields, symmetric: hex("0006 0100 0043"), scheme: NULL_ALG });
    expect(area).toMatchObject({ symmetricBits: 256, scheme: undefined });
  });

  test.each([
    ["another type", { type: 0x0025 }, "its type is not accepted"],
    ["a name algorithm that is none", { nameAlg: 0x0010 }, "its name algorithm is not accepted"],
    ["a policy too long", { policy: Buffer.alloc(65) }, "at most 64"],
    ["a cipher of another kind", { symmetric: hex("0013 0080 0043") }, "symmetric algorithm"],
    ["another cipher mode", { symmetric: hex("0006 0080 0042") }, "cipher mode"],
    ["RSA-PSS", { scheme: scheme(0x0016, "sha256") }, "its scheme is not accepted"],
    ["another hash", { scheme: hex("0018 0012") }, "hash of its scheme"],
    ["another curve", { parameters: hex("0020 0010") }, "its curve"],
    ["a key derivation", { parameters: hex("0003 0020 000b") }, "key derivation"],
    [
      "a coordinate too long for its curve",
      { unique: cat(tpm2b(Buffer.alloc(33)), tpm2b(Buffer.alloc(32))) },
      "coordinate",
    ],
    ["a coordinate too long for any", { unique: cat(tpm2b(Buffer.alloc(67)), tpm2b(Buffer.alloc(32))) }, "at most 66"],
  ] as const)("%s is MALFORMED", (_name, fields, detail) => {
    expectMalformed(() => parse({ ...EC.fields, ...fields }), "TPMT_PUBLIC", detail);
  });

  test.each([
    ["shorter than it claims", cat(u16(3072), u32(0)), RSA.fields.unique],
    ["with a leading zero", cat(u16(2048), u32(0)), tpm2b(cat(Buffer.of(0), RSA.fields.unique.subarray(3)))],
    ["of no bytes", cat(u16(0), u32(0)), tpm2b(Buffer.alloc(0))],
    ["too long for any TPM", cat(u16(4104), u32(0)), tpm2b(Buffer.alloc(513, 0xff))],
  ] as const)("a modulus %s is MALFORMED", (_name, parameters, unique) => {
    expectMalformed(() => parse({ ...RSA.fields, parameters, unique }), "TPMT_PUBLIC");
  });
});

describe("what is computed of one", () => {
  test("its Name: algorithm, and hash of the whole", () => {
    for (const [nameAlg, hash] of [
      [0x0004, "sha1"],
      [0x000b, "sha256"],
      [0x000c, "sha384"],
      [0x000d, "sha512"],
    ] as const) {
      const bytes = encodePublic({ ...EC.fields, nameAlg });
      const name = cat(u16(nameAlg), createHash(hash).update(bytes).digest());
      expect(Buffer.from(nameOf(parsePublicArea(bytes)))).toEqual(name);
    }
  });

  test("the name of a genuine key: the TCG's P-256 endorsement template as a software TPM names it", () => {
    // tpm2_createek -G ecc, with the numbers of the curve's generator in place of its own
    const bytes = hex(
      `0023 000b 000300b2 0020 837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa 0006 0080 0043 0010 0003 0010
       0020 6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296
       0020 4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5`,
    );
    const area = parsePublicArea(bytes);
    expect(area).toMatchObject({ attributes: 0x000300b2, symmetricBits: 128, scheme: undefined });
    expect(area.authPolicy).toHaveLength(32);
    expect(nameOf(area)).toHaveLength(34);
  });

  test("the parameters: all but the key itself", () => {
    const bytes = encodePublic(EC.fields);
    expect(parametersOf(bytes)).toEqual(bytes.subarray(0, bytes.length - EC.fields.unique.length));
    // A template need not hold a key.
    const template = encodePublic({ ...EC.fields, unique: cat(tpm2b(Buffer.alloc(0)), tpm2b(Buffer.alloc(0))) });
    expect(parametersOf(template)).toEqual(parametersOf(bytes));
    expect(headOf(template)).toMatchObject({ nameAlg: "sha256", attributes: AK_ATTRIBUTES });
    expectMalformed(() => headOf(bytes.subarray(0, 9)), "TPMT_PUBLIC", "cut short");
    expectMalformed(() => parametersOf(bytes.subarray(0, 9)), "TPMT_PUBLIC", "cut short");
  });

  test("attributes: the bits of the standard, all that are asked for", () => {
    expect(ObjectAttribute).toEqual(Bit);
    const area = parse(EC.fields);
    expect(has(area, Bit.sign, Bit.restricted)).toBe(true);
    expect(has(area, Bit.sign, Bit.decrypt)).toBe(false);
    expect(has(area)).toBe(true);
  });
});
