/** Makes certificates and requests for tests, also ones that no CA would: every field can be given as raw DER. */
import { constants, createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { bitString, NULL, oid, sequence, setOf, small, TRUE, time, tlv, unsigned } from "../../src/pki/der-writer.ts";
import {
  authorityKeyIdentifier,
  basicConstraints,
  encodeExtension,
  extKeyUsage,
  keyUsage,
  subjectAltName,
  subjectKeyIdentifier,
} from "../../src/pki/extension-writer.ts";
import { encodeName } from "../../src/pki/name.ts";
import { Oid } from "../../src/pki/oid.ts";
import { subjectKeyId } from "../../src/pki/spki.ts";
import { contextConstructed, contextPrimitive } from "../../src/pki/tags.ts";

/** The moment around which everything is made; whole seconds, as certificates are. */
export const NOW = Math.floor(Date.now() / 1000) * 1000;
export const HOUR = 3_600_000;
export const DAY = 24 * HOUR;

export const TD = "example.org";
export const LEAF_ID = `spiffe://${TD}/workload`;

/** A signature algorithm: AlgorithmIdentifier and how to sign. */
export interface TestAlgorithm {
  readonly identifier: Uint8Array;
  readonly sign: (tbs: Uint8Array, key: KeyObject) => Uint8Array;
}

const plain = (type: string, hash: string, ...parameters: Uint8Array[]): TestAlgorithm => ({
  identifier: sequence(oid(type), ...parameters),
  sign: (tbs, key) => sign(hash, tbs, key),
});

/** RSASSA-PSS with parameters of choice; signs with `salt` in any case. */
export function pss(hash: "sha256" | "sha384" | "sha512", salt: number, mgfHash: typeof hash = hash): TestAlgorithm {
  const hashId = (name: typeof hash): Uint8Array => sequence(oid(Oid[name]), NULL);
  return {
    identifier: sequence(
      oid(Oid.rsassaPss),
      sequence(
        tlv(contextConstructed(0), hashId(hash)),
        tlv(contextConstructed(1), sequence(oid(Oid.mgf1), hashId(mgfHash))),
        tlv(contextConstructed(2), small(salt)),
      ),
    ),
    sign: (tbs, key) => sign(hash, tbs, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: salt }),
  };
}

export const algorithms = {
  ecdsaSha256: plain(Oid.ecdsaWithSha256, "sha256"),
  ecdsaSha384: plain(Oid.ecdsaWithSha384, "sha384"),
  ecdsaSha512: plain(Oid.ecdsaWithSha512, "sha512"),
  ecdsaSha1: plain("1.2.840.10045.4.1", "sha1"),
  rsaSha256: plain(Oid.sha256WithRsa, "sha256", NULL),
  rsaSha512: plain(Oid.sha512WithRsa, "sha512", NULL),
  rsaSha1: plain("1.2.840.113549.1.1.5", "sha1", NULL),
  rsaPss256: pss("sha256", 32),
  rsaPss512: pss("sha512", 64),
  ed25519: {
    identifier: sequence(oid("1.3.101.112")),
    sign: (tbs: Uint8Array, key: KeyObject) => sign(null, tbs, key),
  },
} satisfies Record<string, TestAlgorithm>;

/** A key pair with the algorithm it signs with. */
export interface TestKey {
  readonly privateKey: KeyObject;
  readonly spki: Uint8Array;
  readonly algorithm: TestAlgorithm;
}

export function ecKey(curve: "P-256" | "P-384" | "P-521" = "P-256"): TestKey {
  const byCurve = {
    "P-256": algorithms.ecdsaSha256,
    "P-384": algorithms.ecdsaSha384,
    "P-521": algorithms.ecdsaSha512,
  };
  return testKey(generateKeyPairSync("ec", { namedCurve: curve }).privateKey, byCurve[curve]);
}

export function rsaKey(modulusLength = 2048, algorithm: TestAlgorithm = algorithms.rsaSha256): TestKey {
  return testKey(generateKeyPairSync("rsa", { modulusLength }).privateKey, algorithm);
}

export function testKey(privateKey: KeyObject, algorithm: TestAlgorithm): TestKey {
  return { privateKey, spki: createPublicKey(privateKey).export({ format: "der", type: "spki" }), algorithm };
}

/** Raw extensions beside those of the library's profiles. */
export const ext = {
  ca: basicConstraints(true),
  notCa: basicConstraints(false),
  caWithPathLen: (n: number) => encodeExtension(Oid.basicConstraints, true, sequence(TRUE, small(n))),
  caUsage: keyUsage("keyCertSign", "cRLSign"),
  leafUsage: keyUsage("digitalSignature", "keyEncipherment", "keyAgreement"),
  usage: keyUsage,
  eku: extKeyUsage,
  bothEku: extKeyUsage(Oid.serverAuth, Oid.clientAuth),
  uri: (...uris: string[]) => subjectAltName([], uris),
  san: (...names: Uint8Array[]) => encodeExtension(Oid.subjectAltName, false, sequence(...names)),
  nameConstraints: (permitted: Uint8Array[], excluded: Uint8Array[] = []) =>
    encodeExtension(
      Oid.nameConstraints,
      true,
      sequence(
        ...(permitted.length > 0 ? [tlv(contextConstructed(0), ...permitted.map((base) => sequence(base)))] : []),
        ...(excluded.length > 0 ? [tlv(contextConstructed(1), ...excluded.map((base) => sequence(base)))] : []),
      ),
    ),
  unknown: (critical: boolean) => encodeExtension("1.3.6.1.4.1.99999.1", critical, NULL),
  raw: encodeExtension,
};

/** General names, for SANs and constraints. */
export const gn = {
  uri: (text: string) => tlv(contextPrimitive(6), Buffer.from(text, "latin1")),
  dns: (text: string) => tlv(contextPrimitive(2), Buffer.from(text, "latin1")),
  email: (text: string) => tlv(contextPrimitive(1), Buffer.from(text, "latin1")),
  ip: (...bytes: number[]) => tlv(contextPrimitive(7), Uint8Array.from(bytes)),
  directory: (name: Uint8Array) => tlv(contextConstructed(4), name),
  registeredId: (dotted: string) => tlv(contextPrimitive(8), oid(dotted).subarray(2)),
};

/** Name and key of an issuer. */
export interface TestIssuer {
  readonly name: Uint8Array;
  readonly key: TestKey;
}

/** A certificate with what is needed to issue below it. */
export interface TestCert extends TestIssuer {
  readonly der: Uint8Array;
}

export interface CertFields {
  readonly name?: Uint8Array;
  readonly key?: TestKey;
  /** Replaces the key's own SubjectPublicKeyInfo. */
  readonly spki?: Uint8Array;
  /** Whole INTEGER element. */
  readonly serial?: Uint8Array;
  /** `[0]` element; empty for version 1. */
  readonly version?: Uint8Array;
  readonly notBefore?: number;
  readonly notAfter?: number;
  readonly extensions?: readonly Uint8Array[];
  readonly algorithm?: TestAlgorithm;
  /** AlgorithmIdentifier outside the signed part. */
  readonly outer?: Uint8Array;
}

let counter = 1;

/** A certificate by `issuer`; by itself when there is none. */
export function makeCert(issuer: TestIssuer | undefined, fields: CertFields): TestCert {
  const key = fields.key ?? ecKey();
  const name = fields.name ?? cn(`test ${++counter}`);
  const by = issuer ?? { name, key };
  const algorithm = fields.algorithm ?? by.key.algorithm;
  const extensions = fields.extensions ?? [];
  const tbs = sequence(
    fields.version ?? tlv(contextConstructed(0), small(2)),
    fields.serial ?? unsigned(Uint8Array.of(++counter >> 8, counter & 0xff)),
    algorithm.identifier,
    by.name,
    sequence(time(fields.notBefore ?? NOW - HOUR), time(fields.notAfter ?? NOW + DAY)),
    name,
    fields.spki ?? key.spki,
    ...(extensions.length > 0 ? [tlv(contextConstructed(3), sequence(...extensions))] : []),
  );
  const signature = algorithm.sign(tbs, by.key.privateKey);
  return { der: sequence(tbs, fields.outer ?? algorithm.identifier, bitString(signature)), name, key };
}

/** A CA certificate; self-signed without an issuer. `add` follows the usual extensions. */
export function makeCa(issuer?: TestIssuer, fields: CertFields = {}, add: readonly Uint8Array[] = []): TestCert {
  const key = fields.key ?? ecKey();
  const own = [ext.ca, ext.caUsage, ext.uri(`spiffe://${TD}`), ski(key), ...(issuer ? [aki(issuer.key)] : [])];
  return makeCert(issuer, { extensions: [...own, ...add], ...fields, key });
}

/** An X509-SVID. `add` follows the usual extensions. */
export function makeLeaf(issuer: TestIssuer, fields: CertFields = {}, add: readonly Uint8Array[] = []): TestCert {
  const own = [ext.leafUsage, ext.bothEku, ext.notCa, ext.uri(LEAF_ID), aki(issuer.key)];
  return makeCert(issuer, { name: SPIRE_NAME, extensions: [...own, ...add], ...fields });
}

export function ski(key: TestKey): Uint8Array {
  return subjectKeyIdentifier(subjectKeyId(key.spki));
}

export function aki(key: TestKey): Uint8Array {
  return authorityKeyIdentifier(subjectKeyId(key.spki));
}

export function cn(commonName: string): Uint8Array {
  return encodeName({ commonName });
}

export const SPIRE_NAME = encodeName({ country: ["US"], organization: ["SPIRE"] });

/** A request with raw attributes. */
export function makeCsr(key: TestKey, attributes: readonly Uint8Array[], version = small(0)): Uint8Array {
  const info = sequence(version, SPIRE_NAME, key.spki, tlv(contextConstructed(0), ...attributes));
  return sequence(info, key.algorithm.identifier, bitString(key.algorithm.sign(info, key.privateKey)));
}

/** The extension request attribute. */
export function extensionRequest(...extensions: readonly Uint8Array[]): Uint8Array {
  return sequence(oid(Oid.extensionRequest), setOf(sequence(...extensions)));
}
