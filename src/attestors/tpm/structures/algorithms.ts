/** TPM algorithm identifiers (TPM 2.0 Part 2, 6.3 and 6.4) and what Node calls them. */
import { createHash } from "node:crypto";
import type { Curve } from "../../../pki/spki.ts";

/** Algorithms that Holdfast reads or writes. */
export const TpmAlg = {
  RSA: 0x0001,
  SHA1: 0x0004,
  AES: 0x0006,
  SHA256: 0x000b,
  SHA384: 0x000c,
  SHA512: 0x000d,
  NULL: 0x0010,
  RSASSA: 0x0014,
  ECDSA: 0x0018,
  ECC: 0x0023,
  CFB: 0x0043,
} as const;

/** A hash, by the name that Node, selectors and configuration have for it. */
export type TpmHash = "sha1" | "sha256" | "sha384" | "sha512";

/** A PCR bank that can be quoted and named in a policy. */
export type PcrBank = "sha1" | "sha256" | "sha384";

/** All banks, weakest first. */
export const PCR_BANKS = ["sha1", "sha256", "sha384"] as const satisfies readonly PcrBank[];

const HASHES: ReadonlyMap<number, TpmHash> = new Map([
  [TpmAlg.SHA1, "sha1"],
  [TpmAlg.SHA256, "sha256"],
  [TpmAlg.SHA384, "sha384"],
  [TpmAlg.SHA512, "sha512"],
]);

const HASH_BYTES: Readonly<Record<TpmHash, number>> = { sha1: 20, sha256: 32, sha384: 48, sha512: 64 };

/** The hash of an identifier; `undefined` for any other algorithm. */
export function hashOf(alg: number): TpmHash | undefined {
  return HASHES.get(alg);
}

/** The identifier of a hash. */
export function algOf(hash: TpmHash): number {
  return TpmAlg[hash.toUpperCase() as Uppercase<TpmHash>];
}

/** Length of a digest in bytes. */
export function digestBytes(hash: TpmHash): number {
  return HASH_BYTES[hash];
}

/** The digest of all parts, one after the other. */
export function digest(hash: TpmHash, ...parts: readonly Uint8Array[]): Uint8Array {
  const state = createHash(hash);
  for (const part of parts) state.update(part);
  return state.digest();
}

/** Whether an identifier is a hash that is a PCR bank's. */
export function bankOf(alg: number): PcrBank | undefined {
  const hash = hashOf(alg);
  return PCR_BANKS.find((bank) => bank === hash);
}

/** TPM_ECC_CURVE of the accepted curves (Part 2, 6.4). */
const CURVES: ReadonlyMap<number, Curve> = new Map([
  [0x0003, "P-256"],
  [0x0004, "P-384"],
  [0x0005, "P-521"],
]);

/** The curve of an identifier; `undefined` for one that is not accepted. */
export function curveOf(id: number): Curve | undefined {
  return CURVES.get(id);
}

/** The identifier of a curve. */
export function curveId(curve: Curve): number {
  return { "P-256": 0x0003, "P-384": 0x0004, "P-521": 0x0005 }[curve];
}
