import { createHash, createPublicKey, sign } from "node:crypto";
import { CompactSign, compactVerify, decodeProtectedHeader } from "jose";
import { describe, expect, test } from "vitest";
import { jwsSigner, signCompact, verifyEs256 } from "../../src/pki/jws.ts";
import { generateKey, type KeyType } from "../../src/pki/keys.ts";
import { type CertificateSigner, signerFor } from "../../src/pki/signer.ts";

describe("a token", () => {
  test.each<[KeyType, string]>([
    ["ec-p256", "ES256"],
    ["ec-p384", "ES384"],
    ["rsa-2048", "RS256"],
    ["rsa-4096", "RS256"],
  ])("of a %s key is %s, and another library accepts it (JWT-01, JWT-03)", { timeout: 60_000 }, async (type, alg) => {
    const key = await generateKey(type);
    const signer = jwsSigner(signerFor(key));
    expect(signer.algorithm).toBe(alg);
    // Often enough to meet numbers that begin with zeros.
    for (let round = 0; round < (type.startsWith("ec") ? 600 : 1); round++) {
      const token = await signCompact({ alg, kid: "k" }, { round }, signer);
      const { payload } = await compactVerify(token, createPublicKey(key), { algorithms: [alg] });
      expect(JSON.parse(new TextDecoder().decode(payload))).toEqual({ round });
      expect(decodeProtectedHeader(token)).toEqual({ alg, kid: "k" });
    }
  });

  test("is refused for a key that no algorithm is for", async () => {
    const signer = signerFor(await generateKey("ec-p256"));
    expect(() => jwsSigner({ ...signer, algorithm: "ecdsa-sha512" })).toThrow("ecdsa-sha512");
  });

  test("is not made of a signature that is none", async () => {
    const signer = signerFor(await generateKey("ec-p256"));
    const signing = (signature: Uint8Array): Promise<string> => {
      const broken: CertificateSigner = { ...signer, sign: async () => signature };
      return signCompact({}, {}, jwsSigner(broken));
    };
    const hash = createHash("sha256").update("x").digest();
    await expect(signing(hash)).rejects.toThrow("ECDSA signature");
    await expect(signing(Buffer.from("300602010102010100", "hex"))).rejects.toThrow("ECDSA signature");
    const long = Buffer.concat([Buffer.from("30270222", "hex"), Buffer.alloc(34, 1), Buffer.from("020101", "hex")]);
    await expect(signing(long)).rejects.toThrow();
  });
});

describe("the check of an ES256 signature (RFC 7518 3.4)", async () => {
  const key = await generateKey("ec-p256");
  const publicKey = createPublicKey(key);
  const other = createPublicKey(await generateKey("ec-p256"));
  const signed = (text: string): Promise<string> =>
    new CompactSign(Buffer.from(text)).setProtectedHeader({ alg: "ES256" }).sign(key);
  const token = await signed("payload");
  const input = token.slice(0, token.lastIndexOf("."));
  const signature = Buffer.from(token.slice(input.length + 1), "base64url");
  const withSignature = (bytes: Uint8Array): string => `${input}.${Buffer.from(bytes).toString("base64url")}`;

  test("takes what jose signed", { timeout: 60_000 }, async () => {
    // Often enough to meet numbers that begin with zeros.
    for (let round = 0; round < 600; round++) expect(verifyEs256(await signed(`${round}`), publicKey)).toBe(true);
  });

  const zero = Buffer.alloc(32);
  const order = Buffer.from("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", "hex");
  const [r, s] = [signature.subarray(0, 32), signature.subarray(32)];
  test.each<[string, Uint8Array]>([
    ["nothing", new Uint8Array(0)],
    ["a byte too few", signature.subarray(1)],
    ["a byte too many", Buffer.concat([signature, zero.subarray(31)])],
    ["half of it", r],
    ["the form that certificates have", sign("sha256", Buffer.from(input), key)],
    ["halves changed about", Buffer.concat([s, r])],
    ["all zero", Buffer.concat([zero, zero])],
    ["a first half of zero", Buffer.concat([zero, s])],
    ["a second half of zero", Buffer.concat([r, zero])],
    ["the order of the group", Buffer.concat([order, order])],
    ["all ones", Buffer.alloc(64, 0xff)],
  ])("refuses %s", (_what, bytes) => {
    expect(verifyEs256(withSignature(bytes), publicKey)).toBe(false);
  });

  test("refuses another key's, and another content's", async () => {
    expect(verifyEs256(token, other)).toBe(false);
    expect(verifyEs256(`${(await signed("other")).split(".", 2).join(".")}.${token.split(".")[2]}`, publicKey)).toBe(
      false,
    );
  });
});
