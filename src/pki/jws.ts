/** Makes signed tokens: JWS in compact serialization (RFC 7515 3.1), with the algorithm that the key is for. */
import type { KeyObject } from "node:crypto";
import { AgentError } from "../lib/errors.ts";
import type { SigningAlgorithm } from "./algorithms.ts";
import { reading } from "./der-error.ts";
import { DerReader } from "./der-reader.ts";
import { sequence, unsigned } from "./der-writer.ts";
import { type CertificateSigner, verifySignatureSync } from "./signer.ts";

/** The algorithms that we sign tokens with. */
export type JwsAlgorithm = "ES256" | "ES384" | "RS256";

/** A key that signs tokens, with its one algorithm. */
export interface JwsSigner {
  readonly algorithm: JwsAlgorithm;
  /** The signature over `input`, as JWS has it. */
  sign(input: Uint8Array): Promise<Uint8Array>;
}

const P256_COORDINATE = 32;

/** RFC 7518 3.3 and 3.4; `coordinate` is the length in bytes of each half of an ECDSA signature. */
const ALGORITHMS: Readonly<Partial<Record<SigningAlgorithm, { algorithm: JwsAlgorithm; coordinate?: number }>>> = {
  "ecdsa-sha256": { algorithm: "ES256", coordinate: P256_COORDINATE },
  "ecdsa-sha384": { algorithm: "ES384", coordinate: 48 },
  "rsa-sha256": { algorithm: "RS256" },
};

const MAX_ECDSA_BYTES = 256;

/** Makes a signer of tokens from any signer, also one in hardware. Throws `UNTRUSTED` for a key that no algorithm is for. */
export function jwsSigner(signer: CertificateSigner): JwsSigner {
  const fit = ALGORITHMS[signer.algorithm];
  if (fit === undefined) throw new AgentError("UNTRUSTED", `no tokens are signed with ${signer.algorithm}`);
  const { algorithm, coordinate } = fit;
  if (coordinate === undefined) return { algorithm, sign: (input) => signer.sign(input) };
  return { algorithm, sign: async (input) => joinedSignature(await signer.sign(input), coordinate) };
}

/** Signs header and claims. */
export async function signCompact(header: object, claims: object, signer: JwsSigner): Promise<string> {
  const input = `${encoded(JSON.stringify(header))}.${encoded(JSON.stringify(claims))}`;
  return `${input}.${encoded(await signer.sign(Buffer.from(input)))}`;
}

/** ECDSA's two numbers side by side, each in its full length (RFC 7518 3.4), from the sequence that certificates have. */
function joinedSignature(der: Uint8Array, length: number): Uint8Array {
  return reading("ECDSA signature", () => {
    const reader = DerReader.of(der, MAX_ECDSA_BYTES);
    const joined = new Uint8Array(2 * length);
    reader.sequence((numbers) => {
      for (const end of [length, 2 * length]) {
        const number = numbers.unsigned();
        joined.set(number, end - number.length);
      }
    });
    reader.end();
    return joined;
  });
}

/** Whether the signature of a compact JWS is that of a P-256 key: ES256. The sequence takes OpenSSL half the time. */
export function verifyEs256(token: string, key: KeyObject): boolean {
  const dot = token.lastIndexOf(".");
  const joined = Buffer.from(token.slice(dot + 1), "base64url");
  // RFC 7518 3.4: 64 bytes, or it is no signature
  if (joined.length !== 2 * P256_COORDINATE) return false;
  const signature = sequence(unsigned(joined.subarray(0, P256_COORDINATE)), unsigned(joined.subarray(P256_COORDINATE)));
  return verifySignatureSync({ bytes: Buffer.from(token.slice(0, dot)), algorithm: "ecdsa-sha256", signature }, key);
}

function encoded(data: string | Uint8Array): string {
  return (
    typeof data === "string" ? Buffer.from(data) : Buffer.from(data.buffer, data.byteOffset, data.length)
  ).toString("base64url");
}
