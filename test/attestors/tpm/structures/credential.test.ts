/** TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET, as an agent looks at them before its TPM does; and the small parts. */
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import {
  algOf,
  bankOf,
  curveId,
  curveOf,
  digest,
  hashOf,
} from "../../../../src/attestors/tpm/structures/algorithms.ts";
import { ekHash, quoteBinding } from "../../../../src/attestors/tpm/structures/bindings.ts";
import { checkCredential, encodeIdObject } from "../../../../src/attestors/tpm/structures/credential.ts";
import { concat, sized, u8, u16, u32 } from "../../../../src/attestors/tpm/structures/writer.ts";
import { cat, HASH_ID, hex, tpm2b } from "../../../fakes/soft-tpm/structures.ts";
import { expectExact, expectMalformed } from "./malformed.ts";

const SECRET = tpm2b(Buffer.alloc(256, 1));
const CREDENTIAL = tpm2b(cat(tpm2b(Buffer.alloc(32, 2)), Buffer.alloc(34, 3)));

describe("a credential", () => {
  test("is what encodeIdObject makes", () => {
    const made = encodeIdObject(Buffer.alloc(32, 2), Buffer.alloc(34, 3));
    expect(Buffer.from(made)).toEqual(CREDENTIAL);
    checkCredential({ credential: made, secret: SECRET });
  });

  test("is read to its last byte, and no further", () => {
    expectExact((credential) => checkCredential({ credential, secret: SECRET }), CREDENTIAL, "TPM2B_ID_OBJECT");
    expectExact((secret) => checkCredential({ credential: CREDENTIAL, secret }), SECRET, "TPM2B_ENCRYPTED_SECRET");
  });

  test.each([
    ["without an integrity value", tpm2b(cat(tpm2b(Buffer.alloc(0)), Buffer.alloc(34)))],
    ["without an identity", tpm2b(tpm2b(Buffer.alloc(32)))],
    ["with an identity too short", tpm2b(cat(tpm2b(Buffer.alloc(32)), Buffer.alloc(2)))],
    ["with an identity too long", tpm2b(cat(tpm2b(Buffer.alloc(32)), Buffer.alloc(67)))],
    ["with an integrity value too long", tpm2b(cat(tpm2b(Buffer.alloc(65)), Buffer.alloc(34)))],
    ["whose length is not its own", cat(hex("0010"), CREDENTIAL.subarray(2))],
    ["of nothing", tpm2b(Buffer.alloc(0))],
  ])("%s is MALFORMED", (_name, credential) => {
    expectMalformed(() => checkCredential({ credential, secret: SECRET }), "TPM2B_ID_OBJECT");
  });

  test.each([
    ["empty", tpm2b(Buffer.alloc(0))],
    ["longer than any key", tpm2b(Buffer.alloc(513))],
  ])("with a secret that is %s is MALFORMED", (_name, secret) => {
    expectMalformed(() => checkCredential({ credential: CREDENTIAL, secret }), "TPM2B_ENCRYPTED_SECRET");
  });
});

describe("bindings", () => {
  test("an endorsement key is named by SHA-256 of its SubjectPublicKeyInfo, in lower-case hex", () => {
    const spki = Buffer.from("spki");
    expect(ekHash(spki)).toBe(createHash("sha256").update(spki).digest("hex"));
    expect(ekHash(Buffer.alloc(0))).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  });

  test("a quote is bound to nonce and key, one after the other", () => {
    const [nonce, spki] = [Buffer.alloc(32, 1), Buffer.from("spki")];
    const expected = createHash("sha256")
      .update(Buffer.concat([nonce, spki]))
      .digest();
    expect(Buffer.from(quoteBinding(nonce, spki))).toEqual(expected);
  });
});

describe("algorithms", () => {
  test("are known by the standard's numbers", () => {
    for (const [name, alg] of Object.entries(HASH_ID)) {
      expect(hashOf(alg)).toBe(name);
      expect(algOf(name as keyof typeof HASH_ID)).toBe(alg);
    }
    expect([hashOf(0x0012), hashOf(0), bankOf(HASH_ID.sha512)]).toEqual([undefined, undefined, undefined]);
    expect(bankOf(HASH_ID.sha1)).toBe("sha1");
    for (const curve of ["P-256", "P-384", "P-521"] as const) expect(curveOf(curveId(curve))).toBe(curve);
    expect(curveOf(0x0010)).toBeUndefined();
  });

  test("digests are over all parts", () => {
    expect(digest("sha1", Buffer.from("a"), Buffer.from("bc"))).toEqual(createHash("sha1").update("abc").digest());
  });
});

test("numbers are written big-endian", () => {
  const bytes = concat(u8(1), u16(0x0203), u32(0xf4050607), sized(Buffer.of(8)));
  expect(Buffer.from(bytes).toString("hex")).toBe("010203f4050607000108");
});
