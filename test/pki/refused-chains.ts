/** Chains that must not be trusted (X509-21), by name, with the check that must say so. */
import { generateKeyPairSync } from "node:crypto";
import { bitString, NULL, oid, sequence, unsigned } from "../../src/pki/der-writer.ts";
import { Oid } from "../../src/pki/oid.ts";
import { type Case, caWith, der, rsa, three, uri, withUri } from "./chains.ts";
import { algorithms, cn, ext, gn, makeCa, makeLeaf, NOW, pss, rsaKey, type TestKey, testKey } from "./make.ts";

const v1 = new Uint8Array(0);
const past = { notAfter: NOW - 1000 };
const future = { notBefore: NOW + 1000 };

export const REFUSED: Record<string, readonly [check: string, () => Case]> = {
  // 6.1.4 (k)
  "intermediate with cA false": [
    "basic-constraints",
    () => three({ middle: { extensions: [ext.notCa, ext.caUsage] } }),
  ],
  "intermediate without basic constraints": [
    "basic-constraints",
    () => three({ middle: { extensions: [ext.caUsage] } }),
  ],
  "intermediate of version 1": ["version", () => three({ middle: { version: v1, extensions: [] } })],
  "root with cA false": ["basic-constraints", () => three({ root: { extensions: [ext.notCa, ext.caUsage] } })],
  "root of version 1": ["version", () => three({ root: { version: v1, extensions: [] } })],
  "version 1 with extensions": ["parse", () => three({ leaf: { version: v1 } })],
  "leaf issues leaf": [
    "basic-constraints",
    () => {
      const root = makeCa();
      const leaf = makeLeaf(root, { name: cn("leaf") });
      return [[makeLeaf(leaf), leaf], [root]];
    },
  ],
  // 6.1.3 (a)(2)
  "leaf expired": ["validity", () => three({ leaf: past })],
  "leaf not yet valid": ["validity", () => three({ leaf: future })],
  "intermediate expired": ["validity", () => three({ middle: past })],
  "intermediate not yet valid": ["validity", () => three({ middle: future })],
  "root expired": ["validity", () => three({ root: past })],
  "root not yet valid": ["validity", () => three({ root: future })],
  // 6.1.4 (l), (m)
  "path length of the root exceeded": [
    "path-length",
    () => {
      const root = makeCa(undefined, caWith(0));
      const middle = makeCa(root);
      return [[makeLeaf(middle), middle], [root]];
    },
  ],
  "path length of an intermediate exceeded": [
    "path-length",
    () => {
      const root = makeCa();
      const one = makeCa(root, caWith(0));
      const two = makeCa(one);
      return [[makeLeaf(two), two, one], [root]];
    },
  ],
  // 6.1.4 (n)
  "intermediate's key usage lacks keyCertSign": [
    "key-usage",
    () => three({ middle: { extensions: [ext.ca, ext.usage("cRLSign", "digitalSignature")] } }),
  ],
  "root's key usage lacks keyCertSign": [
    "key-usage",
    () => three({ root: { extensions: [ext.ca, ext.usage("cRLSign")] } }),
  ],
  // 4.2
  "duplicate subject alternative name": ["duplicate extension 2.5.29.17", () => three({ leafAdd: [uri] })],
  "duplicate basic constraints": ["duplicate extension 2.5.29.19", () => three({ middleAdd: [ext.ca] })],
  "duplicate unknown extension": [
    "duplicate extension 1.3.6.1.4.1.99999.1",
    () => three({ leafAdd: [ext.unknown(false), ext.unknown(false)] }),
  ],
  // 6.1.4 (o), 6.1.5 (f)
  "unknown critical extension in the leaf": ["critical-extension", () => three({ leafAdd: [ext.unknown(true)] })],
  "unknown critical extension in an intermediate": [
    "critical-extension",
    () => three({ middleAdd: [ext.unknown(true)] }),
  ],
  "unknown critical extension in the root": ["critical-extension", () => three({ rootAdd: [ext.unknown(true)] })],
  "critical policy constraints": [
    "critical-extension",
    () => three({ middleAdd: [ext.raw("2.5.29.36", true, sequence(Uint8Array.of(0x80, 1, 0)))] }),
  ],
  // 6.1.4 (i): explicit policies are asked for, and the chain has none
  "policy constraints that are not critical": [
    "policy-constraints",
    () => three({ middleAdd: [ext.raw("2.5.29.36", false, sequence(Uint8Array.of(0x80, 1, 0)))] }),
  ],
  // 4.2.1.10
  "name constraints in the leaf": [
    "name-constraints",
    () => three({ leafAdd: [ext.nameConstraints([gn.uri("example.org")])] }),
  ],
  // 6.1.3 (a)(1)
  "bad signature of the leaf": ["signature", () => badSignature(0)],
  "bad signature of an intermediate": ["signature", () => badSignature(1)],
  // X509-21
  "foreign root of the same name": [
    "signature",
    () => {
      const name = cn("root");
      const [chain] = three({ root: { name } });
      return [chain, [makeCa(undefined, { name })]];
    },
  ],
  "foreign root": ["issuer", () => [three({})[0], [makeCa()]]],
  "no intermediate presented": ["issuer", () => [three({})[0].slice(0, 1), three({})[1]]],
  "leaf presented as its own authority": [
    "issuer",
    () => {
      const [chain] = three({});
      return [chain.slice(0, 1), chain.slice(0, 1)];
    },
  ],
  // BDL-10, X509-29
  "no authorities": ["authorities", () => [three({})[0], []]],
  "empty chain": ["parse", () => [[], three({})[1]]],
  // algorithms
  "inner and outer algorithm differ": [
    "inner and outer signature algorithm differ",
    () => three({ leaf: { outer: algorithms.ecdsaSha384.identifier } }),
  ],
  "SHA-1 with ECDSA": ["signature-algorithm", () => three({ leaf: { algorithm: algorithms.ecdsaSha1 } })],
  "SHA-1 with RSA": [
    "signature-algorithm",
    () => three({ middle: { key: rsa }, leaf: { algorithm: algorithms.rsaSha1 } }),
  ],
  "RSA-PSS with a short salt": [
    "signature-algorithm",
    () => three({ middle: { key: rsa }, leaf: { algorithm: pss("sha256", 20) } }),
  ],
  "RSA-PSS with another hash for the mask": [
    "signature-algorithm",
    () => three({ middle: { key: rsa }, leaf: { algorithm: pss("sha256", 32, "sha384") } }),
  ],
  "RSA without the NULL parameter": [
    "parse",
    () =>
      three({
        middle: { key: rsa },
        leaf: { algorithm: { ...algorithms.rsaSha256, identifier: sequence(oid(Oid.sha256WithRsa)) } },
      }),
  ],
  "ECDSA with a NULL parameter": [
    "parse",
    () =>
      three({
        leaf: { algorithm: { ...algorithms.ecdsaSha256, identifier: sequence(oid(Oid.ecdsaWithSha256), NULL) } },
      }),
  ],
  "signature algorithm of another kind than the key": [
    "signature",
    () => three({ leaf: { algorithm: { ...algorithms.ecdsaSha256, identifier: algorithms.rsaSha256.identifier } } }),
  ],
  "Ed25519 intermediate": [
    "public-key",
    () => three({ middle: { key: testKey(generateKeyPairSync("ed25519").privateKey, algorithms.ed25519) } }),
  ],
  "Ed25519 leaf": [
    "public-key",
    () => three({ leaf: { key: testKey(generateKeyPairSync("ed25519").privateKey, algorithms.ed25519) } }),
  ],
  "explicit curve parameters": ["public-key", () => three({ middle: { key: explicitEcKey() } })],
  "explicit curve parameters in the leaf": ["public-key", () => three({ leaf: { key: explicitEcKey() } })],
  "curve secp256k1": ["public-key", () => three({ middle: { key: testKey(k1(), algorithms.ecdsaSha256) } })],
  "RSA of 1024 bits": ["public-key", () => three({ middle: { key: rsaKey(1024) } })],
  "RSA of 1024 bits in the leaf": ["public-key", () => three({ leaf: { key: rsaKey(1024) } })],
  "RSA of 8200 bits": ["public-key", () => three({ leaf: { spki: rsaSpki(8200 / 8, [1, 0, 1]) } })],
  "RSA with exponent 1": ["public-key", () => three({ leaf: { spki: rsaSpki(256, [1]) } })],
  "RSA with an even exponent": ["public-key", () => three({ leaf: { spki: rsaSpki(256, [2]) } })],
  "RSA with a huge exponent": ["public-key", () => three({ leaf: { spki: rsaSpki(256, [1, 1, 1, 1, 1]) } })],
  "compressed point": [
    "public-key",
    () => three({ leaf: { spki: ecSpki(Uint8Array.from([2, ...new Uint8Array(32).fill(1)])) } }),
  ],
  "point off the curve, in a signing key": [
    "public-key",
    () => three({ middle: { spki: ecSpki(Uint8Array.from([4, ...new Uint8Array(64).fill(1)])) } }),
  ],
  "point off the curve, in the leaf": [
    "public-key",
    () => three({ leaf: { spki: ecSpki(Uint8Array.from([4, ...new Uint8Array(64).fill(1)])) } }),
  ],
  // DER
  "trailing bytes after the leaf": ["trailing bytes", () => trailing(0)],
  "trailing bytes after an intermediate": ["trailing bytes", () => trailing(1)],
  "BER boolean": [
    "boolean is not canonical",
    () =>
      three({
        middle: { extensions: [ext.raw(Oid.basicConstraints, true, Uint8Array.of(0x30, 3, 1, 1, 1)), ext.caUsage] },
      }),
  ],
  "negative serial number": ["negative integer", () => three({ leaf: { serial: Uint8Array.of(2, 1, 0x80) } })],
  "serial number with a superfluous zero": [
    "not minimal",
    () => three({ leaf: { serial: Uint8Array.of(2, 2, 0, 1) } }),
  ],
  "serial number of 21 bytes": [
    "serial number too long",
    () => three({ leaf: { serial: unsigned(new Uint8Array(21).fill(0x7f)) } }),
  ],
  "path length without cA": [
    "path length without cA",
    () =>
      three({
        leaf: {
          extensions: [ext.leafUsage, uri, ext.raw(Oid.basicConstraints, true, sequence(unsigned(Uint8Array.of(0))))],
        },
      }),
  ],
  "empty key usage": ["keyUsage", () => three({ leaf: withUri(ext.raw(Oid.keyUsage, true, Uint8Array.of(3, 1, 0))) })],
};

function badSignature(index: number): Case {
  const [chain, authorities] = three({});
  const bad = der(chain)[index]!.slice();
  bad[bad.length - 1]! ^= 1;
  return [der(chain).with(index, bad), authorities];
}

function trailing(index: number): Case {
  const [chain, authorities] = three({});
  return [der(chain).with(index, Buffer.concat([der(chain)[index]!, Uint8Array.of(0)])), authorities];
}

function explicitEcKey(): TestKey {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256", paramEncoding: "explicit" });
  return testKey(privateKey, algorithms.ecdsaSha256);
}

function k1() {
  return generateKeyPairSync("ec", { namedCurve: "secp256k1" }).privateKey;
}

function ecSpki(point: Uint8Array): Uint8Array {
  return sequence(sequence(oid(Oid.ecPublicKey), oid(Oid.secp256r1)), bitString(point));
}

function rsaSpki(bytes: number, exponent: number[]): Uint8Array {
  const key = sequence(unsigned(new Uint8Array(bytes).fill(0xff)), unsigned(Uint8Array.from(exponent)));
  return sequence(sequence(oid(Oid.rsaEncryption), NULL), bitString(key));
}
