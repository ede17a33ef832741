/** TPMT_SIGNATURE: what is read, and what is taken for a signature of a key. */
import { createPublicKey, type KeyObject } from "node:crypto";
import { describe, expect, test } from "vitest";
import { parseSignature, verifyTpmSignature } from "../../../../src/attestors/tpm/structures/signature.ts";
import { cat, ECDSA, type Hash, hex, RSASSA, tpm2b, u16 } from "../../../fakes/soft-tpm/structures.ts";
import { ecKey, rsaFromPool, type SoftKey, scheme, tpmSignature } from "../../../fakes/soft-tpm/tpm.ts";
import { flipped } from "../vector.ts";
import { expectExact, expectMalformed } from "./malformed.ts";

const message = Buffer.from("a statement");
const KEYS: Readonly<Record<string, SoftKey>> = {
  "P-256": ecKey("prime256v1"),
  "P-384": ecKey("secp384r1"),
  "P-521": ecKey("secp521r1"),
  RSA: rsaFromPool("ak"),
};
const HASHES: readonly Hash[] = ["sha1", "sha256", "sha384", "sha512"];
const publicOf = ({ privateKey }: SoftKey): KeyObject => createPublicKey(privateKey);
const keyOf = (name: string): SoftKey => KEYS[name] ?? ecKey(name);

describe.each(Object.keys(KEYS))("a signature by %s", (name) => {
  const key = keyOf(name);

  test.each(HASHES)("with %s is read and verified", (hash) => {
    const signature = parseSignature(tpmSignature(key.privateKey, message, hash));
    expect(signature).toMatchObject({ kind: name === "RSA" ? "rsassa" : "ecdsa", hash });
    expect(verifyTpmSignature(signature, publicOf(key), message)).toBe(true);
    expect(verifyTpmSignature(signature, publicOf(key), Buffer.from("another"))).toBe(false);
  });

  test("is read to its last byte, and no further", () => {
    expectExact(parseSignature, tpmSignature(key.privateKey, message), "TPMT_SIGNATURE");
  });

  test("is nobody else's", () => {
    const signature = parseSignature(tpmSignature(key.privateKey, message));
    for (const other of [...Object.values(KEYS).filter((known) => known !== key), ecKey("prime256v1")]) {
      expect(verifyTpmSignature(signature, publicOf(other), message)).toBe(false);
    }
  });

  test("does not hold with any byte of it changed", () => {
    const bytes = tpmSignature(key.privateKey, message);
    for (let at = 6; at < bytes.length; at += name === "RSA" ? 16 : 1) {
      // Lengths are read, not verified.
      if (name !== "RSA" && (at === 6 + (bytes.length - 8) / 2 || at === 7 + (bytes.length - 8) / 2)) continue;
      expect(verifyTpmSignature(parseSignature(flipped(bytes, at)), publicOf(key), message)).toBe(false);
    }
  });
});

describe("numbers of an ECDSA signature", () => {
  const key = keyOf("P-256");

  test("may lack their leading zeros, as TPMs write them", () => {
    for (;;) {
      const bytes = tpmSignature(key.privateKey, message);
      const [r, s] = [bytes.subarray(6, 38), bytes.subarray(40)];
      if (r[0] !== 0) continue;
      const short = cat(scheme(ECDSA, "sha256"), tpm2b(r.subarray(1)), tpm2b(s));
      expect(verifyTpmSignature(parseSignature(short), publicOf(key), message)).toBe(true);
      return;
    }
  });

  test.each([
    ["longer than the curve's", Buffer.alloc(33, 1), Buffer.alloc(32, 1)],
    ["zero", Buffer.alloc(32), Buffer.alloc(32)],
    ["none", Buffer.alloc(0), Buffer.alloc(0)],
    ["beyond the order", Buffer.alloc(32, 0xff), Buffer.alloc(32, 0xff)],
  ])("%s are no signature", (_name, r, s) => {
    const signature = parseSignature(cat(scheme(ECDSA, "sha256"), tpm2b(r), tpm2b(s)));
    expect(verifyTpmSignature(signature, publicOf(key), message)).toBe(false);
  });
});

test("an RSA signature of another length is none", () => {
  for (const value of [Buffer.alloc(0), Buffer.alloc(255, 1), Buffer.alloc(257, 1), Buffer.alloc(256, 0xff)]) {
    const signature = parseSignature(cat(scheme(RSASSA, "sha256"), tpm2b(value)));
    expect(verifyTpmSignature(signature, publicOf(keyOf("RSA")), message)).toBe(false);
  }
});

test.each([
  ["RSA-PSS", hex("0016 000b 0001 00")],
  ["ECDAA", hex("001a 000b 0001 00 0001 00")],
  ["HMAC", cat(hex("0005 000b"), Buffer.alloc(32))],
  ["none", hex("0010")],
  ["an unknown hash", hex("0018 0012 0001 00 0001 00")],
  ["a value too long", cat(u16(RSASSA), hex("000b"), tpm2b(Buffer.alloc(513)))],
  ["a number too long", cat(u16(ECDSA), hex("000b"), tpm2b(Buffer.alloc(67)), tpm2b(Buffer.alloc(32)))],
])("%s is MALFORMED", (_name, bytes) => {
  expectMalformed(() => parseSignature(bytes), "TPMT_SIGNATURE");
});
