/** The signature algorithms that Holdfast makes and accepts: an allow-list (RFC 5758, RFC 8017, RFC 4055). */
import { constants, type KeyObject, type SignKeyObjectInput, type VerifyKeyObjectInput } from "node:crypto";
import type { DerReader } from "./der-reader.ts";
import { NULL, oid, sequence } from "./der-writer.ts";
import { Oid } from "./oid.ts";
import { contextConstructed } from "./tags.ts";

/** Allow-listed algorithms. RSA-PSS is accepted, and never made. */
export type SignatureAlgorithm =
  | "ecdsa-sha256"
  | "ecdsa-sha384"
  | "ecdsa-sha512"
  | "rsa-sha256"
  | "rsa-sha384"
  | "rsa-sha512"
  | "rsa-pss-sha256"
  | "rsa-pss-sha384"
  | "rsa-pss-sha512";

/** The algorithms that we sign with. */
export type SigningAlgorithm = Exclude<SignatureAlgorithm, `rsa-pss-${string}`>;

interface Profile {
  readonly oid: string;
  readonly hash: "sha256" | "sha384" | "sha512";
  readonly scheme: "ecdsa" | "rsa" | "rsa-pss";
}

const PROFILES: Readonly<Record<SignatureAlgorithm, Profile>> = {
  "ecdsa-sha256": { oid: Oid.ecdsaWithSha256, hash: "sha256", scheme: "ecdsa" },
  "ecdsa-sha384": { oid: Oid.ecdsaWithSha384, hash: "sha384", scheme: "ecdsa" },
  "ecdsa-sha512": { oid: Oid.ecdsaWithSha512, hash: "sha512", scheme: "ecdsa" },
  "rsa-sha256": { oid: Oid.sha256WithRsa, hash: "sha256", scheme: "rsa" },
  "rsa-sha384": { oid: Oid.sha384WithRsa, hash: "sha384", scheme: "rsa" },
  "rsa-sha512": { oid: Oid.sha512WithRsa, hash: "sha512", scheme: "rsa" },
  "rsa-pss-sha256": { oid: Oid.rsassaPss, hash: "sha256", scheme: "rsa-pss" },
  "rsa-pss-sha384": { oid: Oid.rsassaPss, hash: "sha384", scheme: "rsa-pss" },
  "rsa-pss-sha512": { oid: Oid.rsassaPss, hash: "sha512", scheme: "rsa-pss" },
};

const BY_OID: ReadonlyMap<string, SignatureAlgorithm> = new Map(
  (Object.entries(PROFILES) as [SignatureAlgorithm, Profile][])
    .filter(([, profile]) => profile.scheme !== "rsa-pss")
    .map(([algorithm, profile]) => [profile.oid, algorithm]),
);

const PSS_BY_HASH: ReadonlyMap<string, { algorithm: SignatureAlgorithm; saltBytes: number }> = new Map([
  [Oid.sha256, { algorithm: "rsa-pss-sha256", saltBytes: 32 }],
  [Oid.sha384, { algorithm: "rsa-pss-sha384", saltBytes: 48 }],
  [Oid.sha512, { algorithm: "rsa-pss-sha512", saltBytes: 64 }],
]);

/** The hash of an algorithm, as node:crypto names it. */
export function hashOf(algorithm: SignatureAlgorithm): string {
  return PROFILES[algorithm].hash;
}

/** Whether a key of that kind can make such signatures. */
export function fitsKey(algorithm: SignatureAlgorithm, key: KeyObject): boolean {
  return key.asymmetricKeyType === (PROFILES[algorithm].scheme === "ecdsa" ? "ec" : "rsa");
}

/**
 * What node:crypto's `sign` and `verify` take for the algorithm. Its defaults are DER signatures for ECDSA and PKCS#1
 * padding for RSA; a bare key costs it a quarter less time than a key with options.
 */
export function keyInput(
  algorithm: SignatureAlgorithm,
  key: KeyObject,
): KeyObject | (SignKeyObjectInput & VerifyKeyObjectInput) {
  if (PROFILES[algorithm].scheme !== "rsa-pss") return key;
  return { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
}

/** The AlgorithmIdentifier of an algorithm that we make: no parameters for ECDSA, NULL for RSA PKCS#1. */
export function encodeAlgorithm(algorithm: SigningAlgorithm): Uint8Array {
  return ENCODED[algorithm];
}

const ENCODED: Readonly<Record<SigningAlgorithm, Uint8Array>> = {
  "ecdsa-sha256": sequence(oid(Oid.ecdsaWithSha256)),
  "ecdsa-sha384": sequence(oid(Oid.ecdsaWithSha384)),
  "ecdsa-sha512": sequence(oid(Oid.ecdsaWithSha512)),
  "rsa-sha256": sequence(oid(Oid.sha256WithRsa), NULL),
  "rsa-sha384": sequence(oid(Oid.sha384WithRsa), NULL),
  "rsa-sha512": sequence(oid(Oid.sha512WithRsa), NULL),
};

/**
 * Reads an AlgorithmIdentifier; `undefined` when the algorithm, or its parameters, are not allow-listed. Throws
 * `MALFORMED`.
 */
export function readAlgorithm(reader: DerReader): SignatureAlgorithm | undefined {
  return reader.sequence((inner) => {
    const type = inner.oid();
    const known = BY_OID.get(type);
    if (known !== undefined) {
      if (PROFILES[known].scheme === "rsa") inner.null();
      return known;
    }
    if (type === Oid.rsassaPss) return readPss(inner);
    while (!inner.done) inner.any();
    return undefined;
  });
}

/** RSASSA-PSS-params (RFC 4055 3.1): one hash throughout, MGF1, a salt as long as the hash, the usual trailer. */
function readPss(reader: DerReader): SignatureAlgorithm | undefined {
  return reader.sequence((params) => {
    const hash = params.optional(contextConstructed(0), readHash);
    const maskHash = params.optional(contextConstructed(1), (mgf) =>
      mgf.sequence((inner) => {
        if (inner.oid() === Oid.mgf1) return readHash(inner);
        while (!inner.done) inner.any();
        return undefined;
      }),
    );
    const salt = params.optional(contextConstructed(2), (inner) => inner.small(1024));
    const trailer = params.optional(contextConstructed(3), (inner) => inner.small(1024)) ?? 1;
    const known = PSS_BY_HASH.get(hash ?? "");
    return known !== undefined && maskHash === hash && salt === known.saltBytes && trailer === 1
      ? known.algorithm
      : undefined;
  });
}

/** A hash's AlgorithmIdentifier: parameters are NULL or absent (RFC 4055 2.1). */
function readHash(reader: DerReader): string {
  return reader.sequence((inner) => {
    const type = inner.oid();
    if (!inner.done) inner.null();
    return type;
  });
}
