/** Endorsement keys and certificates that must not be admitted. */
import { generateKeyPairSync } from "node:crypto";
import { bitString, NULL, oid, sequence, unsigned } from "../../../src/pki/der-writer.ts";
import { Oid } from "../../../src/pki/oid.ts";
import { encodeSpki } from "../../../src/pki/spki.ts";
import { ecKey, rocaModulus, type SoftKey, softEk, softKey, weakRsaKey } from "../../fakes/soft-tpm/tpm.ts";
import {
  EK_USAGE,
  type EkCertificateFields,
  ekCertificate,
  MODEL,
  makeVendor,
  NO_NAME,
  tcgName,
  tcgSan,
} from "../../fakes/soft-tpm/vendor.ts";
import { algorithms, cn, ecKey as ecCaKey, ext, gn, makeCert, NOW, ski, testKey } from "../../pki/make.ts";
import { flipped, longer, type Vector, type Vectors } from "./vector.ts";

const other = makeVendor("Other vendor");

/** A certificate that departs from the profile. */
const profile =
  (certificate: EkCertificateFields, kind: "rsa-2048" | "ec-p256" = "ec-p256") =>
  (): Vector => ["ek-certificate-profile", { ek: kind, certificate }];
const chain = (certificate: EkCertificateFields) => (): Vector => ["ek-certificate-chain", { certificate }];
/** A key that is sent without a certificate, and is listed. */
const bare =
  (key: () => SoftKey | Uint8Array): (() => Vector) =>
  () => {
    const made = key();
    const publicKey = made instanceof Uint8Array ? made : made.spki;
    return ["ek-key-type", { certificate: null, publicKey }, { folders: "hash", listed: true }];
  };
const san = (...names: Uint8Array[]): EkCertificateFields => ({ san: tcgSan(names) });
const none = { constraints: null, usage: null, eku: null, aki: null, san: null };
/** Rightly signed, but as ROCA makes keys: 65537^k modulo a product of small primes, and a multiple of that. */
const roca = (): Uint8Array => encodeSpki({ kind: "rsa", n: rocaModulus(), e: Uint8Array.of(1, 0, 1) });
const GOOGLE = { san: null, eku: null, name: cn("vTPM") };
const rsaNumbers = (bytes: number, change: (n: Buffer) => void = () => {}): Uint8Array => {
  const n = Buffer.alloc(bytes, 0xa5);
  change(n);
  return encodeSpki({ kind: "rsa", n, e: Uint8Array.of(1, 0, 1) });
};

export const REFUSED_CHAINS: Vectors = {
  "a vendor that is not trusted": chain({ issuer: other.issuer }),
  "another vendor with the trusted one's name": ({ vendor }) => [
    "ek-certificate-chain",
    { certificate: { issuer: { name: vendor.issuer.name, key: other.issuer.key } } },
  ],
  "certificate that expired": chain({ notAfter: NOW - 1_000 }),
  "certificate that is not yet valid": chain({ notBefore: NOW + 600_000 }),
  "certificate with another signature": ({ vendor }) => [
    "ek-certificate-chain",
    { certificate: (ek) => flipped(ekCertificate(vendor, ek)) },
  ],
  "certificate signed with SHA-1": chain({ algorithm: algorithms.ecdsaSha1 }),
  "certificate with an unknown critical extension": chain({ more: [ext.unknown(true)] }),
  "certificate that signed itself": () => [
    "ek-certificate-chain",
    {
      certificate: (ek) => {
        const key = testKey(ek.privateKey, algorithms.ecdsaSha256);
        return ekCertificate({ root: other.root, issuer: makeCert(undefined, { key }) }, ek);
      },
    },
  ],
  "a manufacturer that was altered after the certificate was signed": ({ vendor }) => [
    "ek-certificate-chain",
    {
      publicKey: null,
      // The manufacturer's last digit
      certificate: (ek) => {
        const der = Buffer.from(ekCertificate(vendor, ek));
        return flipped(der, der.indexOf(MODEL.manufacturer) + MODEL.manufacturer.length - 1);
      },
    },
  ],
};

export const REFUSED_PROFILES: Vectors = {
  "a CA": profile({ constraints: ext.ca }),
  "a CA with a path length": profile({ constraints: ext.caWithPathLen(0) }),
  "no basic constraints": profile({ constraints: null }),
  "basic constraints that are not critical": profile({
    constraints: ext.raw(Oid.basicConstraints, false, sequence()),
  }),
  "no key usage": profile({ usage: null }),
  "a key usage that is not critical": profile({
    usage: ext.raw(Oid.keyUsage, false, ext.usage("keyAgreement").subarray(-4)),
  }),
  "a signing key": profile({ usage: ext.usage("digitalSignature") }),
  "a signing RSA key": profile({ usage: ext.usage("digitalSignature") }, "rsa-2048"),
  "a key that signs besides": profile({ usage: ext.usage("keyAgreement", "digitalSignature") }),
  "a key that certifies besides": profile({ usage: ext.usage("keyAgreement", "keyCertSign") }),
  "an RSA key for key agreement": profile({ usage: ext.usage("keyAgreement") }, "rsa-2048"),
  "a key for data": profile({ usage: ext.usage("dataEncipherment") }),
  "extended key usage of a server": profile({ eku: ext.eku(Oid.serverAuth) }),
  "extended key usage of an attestation key": profile({ eku: ext.eku("2.23.133.8.3") }),
  "extended key usage of a platform": profile({ eku: ext.eku("2.23.133.8.2") }),
  "any extended key usage": profile({ eku: ext.eku("2.5.29.37.0") }),
  "no authority key identifier": profile({ aki: null }),
  "a critical authority key identifier": profile({ aki: ext.raw(Oid.authorityKeyIdentifier, true, sequence()) }),
  "serial number zero": profile({ serial: unsigned(Uint8Array.of(0)) }),
  "version 1": profile({ ...none, version: new Uint8Array(0) }),
  "no issuer": profile({ issuer: { name: NO_NAME, key: other.issuer.key } }),
  "no subject alternative name": profile({ san: null }),
  "no alternative name, but a subject": profile({ san: null, name: cn("TPM") }),
  "no alternative name, nor usage, nor subject": profile({ san: null, eku: null }),
  "an alternative name that is not critical": profile({ san: tcgSan([tcgName()], false) }),
  "an alternative name without a directory name": profile({
    san: ext.raw(Oid.subjectAltName, true, sequence(gn.uri("spiffe://example.org/x"))),
  }),
  "two directory names": profile(san(tcgName(), tcgName())),
  "another directory name besides": profile(san(tcgName(), cn("TPM"))),
  "a directory name in two parts": profile(san(tcgName({ manufacturer: "m", model: "m" }), tcgName({ version: "v" }))),
  "an empty directory name": profile(san(sequence())),
  "no manufacturer": profile(san(tcgName({ model: "m", version: "v" }))),
  "no model": profile(san(tcgName({ manufacturer: "m", version: "v" }))),
  "no version": profile(san(tcgName({ manufacturer: "m", model: "v" }))),
  "two manufacturers": profile(san(tcgName({ ...MODEL, manufacturer: ["id:1", "id:2"] }))),
  "an empty model": profile(san(tcgName({ ...MODEL, model: "" }))),
  "a model of two lines": profile(san(tcgName({ ...MODEL, model: "a\nb" }))),
  "a model with a hidden turn of direction": profile(san(tcgName({ ...MODEL, model: "a\u202eb" }))),
  "a model with a space that does not break": profile(san(tcgName({ ...MODEL, model: "a\u00a0b" }))),
  "a model with a letter that is not seen": profile(san(tcgName({ ...MODEL, model: "Soft\u3164" }))),
  "a model with a letter that looks like another": profile(san(tcgName({ ...MODEL, model: "S\u043eft" }))),
  "a model that begins with a space": profile(san(tcgName({ ...MODEL, model: " Soft" }))),
  "a model that ends with a space": profile(san(tcgName({ ...MODEL, model: "Soft " }))),
  "a model with two spaces": profile(san(tcgName({ ...MODEL, model: "So  ft" }))),
  "a manufacturer that begins with a space": profile(san(tcgName({ ...MODEL, manufacturer: " id:54455354" }))),
  "a version that begins with a space": profile(san(tcgName({ ...MODEL, version: " id:00010002" }))),
  "a model too long for a selector": profile(san(tcgName({ ...MODEL, model: "m".repeat(65) }))),
  "a name by the exception, of a CA that has none, whose intermediate is trusted too": profile(GOOGLE),
  "a name by the exception, of a CA that has none, at its root": ({ vendor }) => [
    "ek-certificate-profile",
    { certificate: { ...GOOGLE, issuer: vendor.root } },
  ],
  "a name by the exception, of another trusted CA than the one that has it": (server) => {
    const mail = makeVendor("Mail gateways");
    for (const { der } of [mail.root, mail.issuer]) server.trust(der);
    return ["ek-certificate-profile", { certificate: { ...GOOGLE, issuer: mail.issuer } }, { nameless: true }];
  },
  "a name by the exception, of a CA with the name of the one that has it": (server) => {
    const { name } = server.vendor.root;
    const key = ecCaKey();
    const namesake = makeCert(undefined, { name, key, extensions: [ext.ca, ext.caUsage, ski(key)] });
    server.trust(namesake.der);
    return ["ek-certificate-profile", { certificate: { ...GOOGLE, issuer: namesake } }, { nameless: true }];
  },
  "a name by the exception, of a signing key": profile({ ...GOOGLE, usage: ext.usage("digitalSignature") }),
  "a name by the exception, with a usage": profile({ ...GOOGLE, eku: ext.eku(EK_USAGE) }),
};

export const REFUSED_KEYS: Vectors = {
  "the public key is not the certificate's": () => ["ek-matches-certificate", { publicKey: ecKey("prime256v1").spki }],
  "the public key is of another kind than the certificate's": () => [
    "ek-matches-certificate",
    { publicKey: softEk("rsa-2048").spki },
  ],
  "a listed key beside a genuine certificate of another": (server) => {
    const own = softEk("ec-p256");
    server.list(own.spki);
    const certificate = (): Uint8Array => ekCertificate(server.vendor, softEk("ec-p256"));
    return ["ek-matches-certificate", { ek: own, certificate }, { folders: "both" }];
  },
  "a key of the attacker beside a listed certificate": () => [
    "ek-matches-certificate",
    { publicKey: ecKey("prime256v1").spki },
    { folders: "both", listed: true },
  ],
  "neither a certificate nor a key": () => ["ek-encoding", { certificate: null, publicKey: null }],
  "a certificate that is none": () => ["ek-encoding", { certificate: () => Buffer.from("certificate") }],
  "a certificate cut short": ({ vendor }) => [
    "ek-encoding",
    { certificate: (ek) => ekCertificate(vendor, ek).subarray(0, -1) },
  ],
  "a certificate with a byte too many": ({ vendor }) => [
    "ek-encoding",
    { certificate: (ek) => longer(ekCertificate(vendor, ek)) },
  ],
  "a certificate of version 1 with extensions": () => ["ek-encoding", { certificate: { version: new Uint8Array(0) } }],
  "a certificate whose extension comes twice": () => ["ek-encoding", { certificate: { more: [ext.notCa] } }],
  "a public key that is none, beside a certificate": () => ["ek-encoding", { publicKey: Buffer.from("key") }],
  "a public key that is none": bare(() => Buffer.from("key")),
  "RSA 1024": bare(() => weakRsaKey()),
  "RSA 1024 in a certificate": ({ vendor }) => [
    "ek-key-type",
    { publicKey: null, certificate: () => ekCertificate(vendor, weakRsaKey()) },
  ],
  "an RSA key that can be factored": bare(roca),
  "an RSA key that can be factored, in a certificate": () => [
    "ek-key-type",
    { ek: "rsa-2048", publicKey: null, certificate: { spki: roca() } },
  ],
  "an RSA key that can be factored, listed and certified": (server) => {
    const spki = roca();
    server.list(spki);
    return ["ek-key-type", { ek: "rsa-2048", publicKey: null, certificate: { spki } }, { folders: "both" }];
  },
  "a certified key of a kind that ek_kinds does not have": () => [
    "ek-key-type",
    { ek: "rsa-2048" },
    { ekKinds: ["ec-p256", "ec-p384"] },
  ],
  "a listed key of a kind that ek_kinds does not have": () => [
    "ek-key-type",
    { ek: "ec-p384", certificate: null },
    { folders: "hash", listed: true, ekKinds: ["ec-p256"] },
  ],
  "RSA 3072": bare(() => rsaNumbers(384)),
  "RSA 2047": bare(() => rsaNumbers(256, (n) => n.writeUInt8(0x7f))),
  "RSA with an even modulus": bare(() => rsaNumbers(256, (n) => n.writeUInt8(0xa4, 255))),
  "RSA for OAEP only, as TPM 1.2 has": bare(() => {
    const key = sequence(unsigned(Buffer.alloc(256, 0xa5)), unsigned(Uint8Array.of(1, 0, 1)));
    return sequence(sequence(oid("1.2.840.113549.1.1.7"), NULL), bitString(key));
  }),
  "P-521": bare(() => ecKey("secp521r1")),
  secp256k1: bare(() => ecKey("secp256k1")),
  Ed25519: bare(() => softKey(generateKeyPairSync("ed25519").privateKey)),
  "a point that is not on the curve": bare(() => flipped(ecKey("prime256v1").spki)),
  "a key that is not listed": () => ["ek-known", { certificate: null }, { folders: "hash" }],
  "a key without a certificate, where only vendors are trusted": () => ["ek-known", { certificate: null }],
  "a certificate where only listed keys are trusted": () => ["ek-known", {}, { folders: "hash" }],
  "a key without a certificate, neither listed nor certified": () => [
    "ek-known",
    { certificate: null },
    { folders: "both" },
  ],
};
