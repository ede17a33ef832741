/** The key derivation functions, with what OpenSSL's KBKDF and SSKDF give. */
import { expect, test } from "vitest";
import { digestBytes, type TpmHash } from "../../../../src/attestors/tpm/structures/algorithms.ts";
import { kdfa, kdfe } from "../../../../src/attestors/tpm/structures/kdf.ts";
import { hex, NONE } from "../../../fakes/soft-tpm/structures.ts";

const KEY = hex("000102030405060708090a0b0c0d0e0f");

// openssl kdf -keylen 80 -kdfopt mac:HMAC -kdfopt digest:SHA256 -kdfopt mode:COUNTER -kdfopt hexkey:$KEY
//   -kdfopt salt:LONG -kdfopt hexinfo:aabbccdd KBKDF
const KDFA: readonly (readonly [TpmHash, label: string, u: string, v: string, expected: string])[] = [
  ["sha256", "STORAGE", "aabb", "ccdd", "bdd94f196293fdff12f3c3659ce271f208426fc932cb67d2dd1699de61d30ed1"],
  ["sha256", "STORAGE", "aabbcc", "dd", "bdd94f196293fdff12f3c3659ce271f208426fc932cb67d2dd1699de61d30ed1"],
  ["sha256", "INTEGRITY", "", "", "9d0eee85ba906b4eb5a28628d1406fc399e7de87d400e0bc42d7c44617498077"],
  ["sha384", "STORAGE", "aabbccdd", "", "2925a7571c711e913e955dc0f8541efbedffa59f90bf32fdd12a72be9bf0bfb0"],
  ["sha1", "ATH", "0102", "0304", "4963fd3ea44effa6faee501c60dc5b9a4b06d66cab76a86f1a9d738d4036e7220e2e4fbc62814372"],
  [
    "sha256",
    "LONG",
    "aabb",
    "ccdd",
    "b4da9bb109fe53b31cdb3557ac1a42da842f35688ea37aad8f1cc7221072ac6de850cdc479b3e7ea80fc535482904d75e1426cc0431a80520186e8e41f01e477e638e620d8b94032af2b246d71f0ff29",
  ],
];

test.each(KDFA)("KDFa with %s and label %s", (hash, label, u, v, text) => {
  const expected = hex(text);
  expect(Buffer.from(kdfa(hash, KEY, label, hex(u), hex(v), expected.length * 8))).toEqual(expected);
});

// openssl kdf -keylen 72 -kdfopt digest:SHA256 -kdfopt hexkey:$KEY -kdfopt hexinfo:4944454e5449545900${U}${V} SSKDF
const KDFE: readonly (readonly [TpmHash, expected: string])[] = [
  ["sha256", "bdb1d7d6ccc515797596c420bc6be18178ef419c7c9df681bbf143175bef808d"],
  ["sha384", "09fc6aa0a7534cd95024e40310d7b6bb2bd48940c3c85f9211fd84d99f0765112c681b5d199f1222d2a740df931ea780"],
  [
    "sha256",
    "bdb1d7d6ccc515797596c420bc6be18178ef419c7c9df681bbf143175bef808df427be0549b93ad1c9eaf77702c83c9ef2823a66709c76ff0434ae979586d4f1e4194da3f005f19a",
  ],
];

test.each(KDFE)("KDFe with %s", (hash, text) => {
  const expected = hex(text);
  expect(Buffer.from(kdfe(hash, KEY, "IDENTITY", hex("1111"), hex("2222"), expected.length * 8))).toEqual(expected);
});

test("a length is part of what KDFa gives, and not of KDFe's", () => {
  const [short, long] = [128, 256].map((bits) => kdfa("sha256", KEY, "X", NONE, NONE, bits));
  expect(short).toHaveLength(16);
  expect(Buffer.from(short ?? [])).not.toEqual(Buffer.from(long?.subarray(0, 16) ?? []));
  const [part, whole] = [128, 256].map((bits) => kdfe("sha256", KEY, "X", NONE, NONE, bits));
  expect(Buffer.from(part ?? [])).toEqual(Buffer.from(whole?.subarray(0, 16) ?? []));
  expect(digestBytes("sha384")).toBe(48);
});
