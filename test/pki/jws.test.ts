import { createHash, createPublicKey } from "node:crypto";
import { compactVerify, decodeProtectedHeader } from "jose";
import { describe, expect, test } from "vitest";
import { jwsSigner, signCompact } from "../../src/pki/jws.ts";
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
