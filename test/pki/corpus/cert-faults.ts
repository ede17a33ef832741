/** Faults of single certificates: validity, extensions, keys and signatures, and what is no DER. */
import { bitString, NULL, oid, sequence, unsigned } from "../../../src/pki/der-writer.ts";
import { Oid } from "../../../src/pki/oid.ts";
import { algorithms, DAY, ext, pss } from "../make.ts";
import { BAD_KEYS, BAD_SPKIS, isRsa } from "./keys.ts";
import { type CertPlan, CORPUS_NOW, POLICY_EXTENSIONS } from "./plan.ts";
import {
  change,
  type Edit,
  fault,
  issuerOf,
  onAny,
  onCa,
  onLeaf,
  onMiddle,
  onPresented,
  type Variation,
} from "./variation.ts";

/** Faults that a decoy can have, too: they need no more than the certificate. */
export const SINGLE_FAULTS: Readonly<Record<string, { check: string; edit: (cert: CertPlan) => Partial<CertPlan> }>> = {
  expired: { check: "validity", edit: () => ({ notAfter: CORPUS_NOW - 3_600_000 }) },
  "not yet valid": { check: "validity", edit: () => ({ notBefore: CORPUS_NOW + 3_600_000 }) },
  "no CA": { check: "basic-constraints", edit: () => ({ basic: { ca: false } }) },
  "no basic constraints": { check: "basic-constraints", edit: () => ({ basic: undefined }) },
  "version 1": { check: "version", edit: () => ({ isV1: true }) },
  "no keyCertSign": { check: "key-usage", edit: () => ({ usage: ["cRLSign", "digitalSignature"] }) },
  "unknown critical extension": {
    check: "critical-extension",
    edit: (cert) => ({ extra: [...cert.extra, ext.unknown(true)] }),
  },
};

function single(group: string, name: keyof typeof SINGLE_FAULTS, on: (edit: Edit) => Variation["apply"]): Variation {
  const { check, edit } = SINGLE_FAULTS[name]!;
  return fault(group, name, check, on(change(edit)));
}

const VALIDITY: readonly Variation[] = [
  single("validity", "expired", onAny),
  single("validity", "not yet valid", onAny),
  fault("validity", "expired a second ago", "validity", onAny(change(() => ({ notAfter: CORPUS_NOW - 1000 })))),
  fault("validity", "valid in a second", "validity", onAny(change(() => ({ notBefore: CORPUS_NOW + 1000 })))),
  fault(
    "validity",
    "never valid",
    "validity",
    onAny(change(() => ({ notBefore: CORPUS_NOW + DAY, notAfter: CORPUS_NOW - DAY }))),
  ),
];

const EXTENSIONS: readonly Variation[] = [
  single("basic", "no CA", onCa),
  single("basic", "no basic constraints", onCa),
  single("basic", "version 1", onCa),
  single("usage", "no keyCertSign", onCa),
  single("extra", "unknown critical extension", onAny),
  fault("policy", "critical policy constraints", "critical-extension", addToCa(POLICY_EXTENSIONS.inhibitMapping(true))),
  fault(
    "policy",
    "critical inhibition of any policy",
    "critical-extension",
    addToCa(POLICY_EXTENSIONS.inhibitAny(true)),
  ),
  fault("policy", "critical policy mappings", "critical-extension", addToCa(POLICY_EXTENSIONS.mappings(true))),
  fault(
    "policy",
    "critical demand for a policy",
    ["critical-extension", "policy-constraints"],
    addToCa(POLICY_EXTENSIONS.requireExplicit(true)),
  ),
  fault("policy", "demand for a policy", "policy-constraints", addToCa(POLICY_EXTENSIONS.requireExplicit(false))),
];

function addToCa(extension: Uint8Array): Variation["apply"] {
  return onCa(change((cert) => ({ extra: [...cert.extra, extension] })));
}

/** A signature algorithm for certificates that a key of that kind signs. */
function signedWith(wantsRsa: boolean, algorithm: (typeof algorithms)[keyof typeof algorithms]): Variation["apply"] {
  return onPresented((cert, plan) => {
    if (isRsa(issuerOf(cert, plan).key) !== wantsRsa) return false;
    cert.raw = { ...cert.raw, algorithm };
    return true;
  });
}

const SIGNATURES: readonly Variation[] = [
  fault(
    "signature",
    "changed signature",
    "signature",
    onPresented(change(() => ({ edit: (der) => der.with(der.length - 1, der.at(-1)! ^ 1) }))),
  ),
  fault("signature", "signed by another key", "signature", onPresented(strangerSigns)),
  fault("signature", "ECDSA with SHA-1", "signature-algorithm", signedWith(false, algorithms.ecdsaSha1)),
  fault("signature", "RSA with SHA-1", "signature-algorithm", signedWith(true, algorithms.rsaSha1)),
  fault("signature", "RSA-PSS with a short salt", "signature-algorithm", signedWith(true, pss("sha256", 20))),
  fault(
    "signature",
    "inner and outer algorithm differ",
    "parse",
    onPresented(change((cert) => ({ raw: { ...cert.raw, outer: sequence(oid(Oid.ecdsaWithSha512)) } }))),
  ),
  fault(
    "signature",
    "ECDSA with a NULL parameter",
    "parse",
    signedWith(false, { ...algorithms.ecdsaSha256, identifier: sequence(oid(Oid.ecdsaWithSha256), NULL) }),
  ),
  fault(
    "signature",
    "RSA without the NULL parameter",
    "parse",
    signedWith(true, { ...algorithms.rsaSha256, identifier: sequence(oid(Oid.sha256WithRsa)) }),
  ),
];

function strangerSigns(...[cert, plan]: Parameters<Edit>): boolean {
  const { key } = issuerOf(cert, plan);
  const other = plan.newKey();
  if (isRsa(other) !== isRsa(key)) return false;
  cert.signer = other;
  return true;
}

const KEYS: readonly Variation[] = [
  ...Object.entries(BAD_KEYS).map(([name, key]) =>
    fault(
      "key",
      `key: ${name}`,
      ["public-key"],
      onAny((cert, plan) => {
        // an issuer below must not have been given an algorithm of another kind
        const below = plan.path[plan.path.indexOf(cert) - 1];
        if (below?.raw.algorithm !== undefined || below?.signer !== undefined) return false;
        cert.key = key;
        return true;
      }),
    ),
  ),
  ...Object.entries(BAD_SPKIS).map(([name, spki]) =>
    fault("key", `leaf's key: ${name}`, "public-key", onLeaf(change((cert) => ({ raw: { ...cert.raw, spki } })))),
  ),
  fault(
    "key",
    "point off the curve in a CA",
    ["public-key"],
    onMiddle(change((cert) => ({ raw: { ...cert.raw, spki: BAD_SPKIS["point off the curve"]! } }))),
  ),
];

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

/** Never the anchor's: what cannot be read would not be among the authorities at all. */
const ENCODING: readonly Variation[] = [
  fault(
    "edit",
    "trailing byte",
    "parse",
    onPresented(change(() => ({ edit: (der) => Buffer.concat([der, bytes(0)]) }))),
  ),
  fault("edit", "cut short", "parse", onPresented(change(() => ({ edit: (der) => der.subarray(0, -1) })))),
  serial("negative serial number", bytes(2, 1, 0x80)),
  serial("serial number with a superfluous zero", bytes(2, 2, 0, 1)),
  serial("serial number of 21 bytes", unsigned(new Uint8Array(21).fill(0x7f))),
  fault(
    "basic",
    "BER boolean",
    "parse",
    onMiddle((cert) => {
      cert.basic = undefined;
      cert.extra.push(ext.raw(Oid.basicConstraints, true, bytes(0x30, 3, 1, 1, 1)));
      return true;
    }),
  ),
  fault(
    "extra",
    "unknown extension twice",
    "parse",
    onPresented(change((cert) => ({ extra: [...cert.extra, ext.unknown(false), ext.unknown(false)] }))),
  ),
  fault(
    "basic",
    "basic constraints twice",
    "parse",
    onPresented(change((cert) => ({ extra: [...cert.extra, ext.ca, ext.ca] }))),
  ),
  fault(
    "sans",
    "alternative names twice",
    "parse",
    onPresented(change((cert) => ({ extra: [...cert.extra, ext.uri("spiffe://example.org/workload")] }))),
  ),
  fault("basic", "path length without cA", "parse", onLeaf(change(() => ({ basic: { ca: false, pathLen: 0 } })))),
  fault(
    "usage",
    "empty key usage",
    "parse",
    onPresented((cert) => {
      cert.usage = undefined;
      cert.extra.push(ext.raw(Oid.keyUsage, true, bitString(bytes())));
      return true;
    }),
  ),
  fault(
    "version",
    "version 1 with extensions",
    "parse",
    onPresented(change((cert) => ({ raw: { ...cert.raw, version: bytes() } }))),
  ),
  fault(
    "version",
    "version 2 with extensions",
    "parse",
    onPresented(change((cert) => ({ raw: { ...cert.raw, version: bytes(0xa0, 3, 2, 1, 1) } }))),
  ),
];

function serial(name: string, element: Uint8Array): Variation {
  return fault("serial", name, "parse", onPresented(change((cert) => ({ raw: { ...cert.raw, serial: element } }))));
}

export const CERT_FAULTS: readonly Variation[] = [...VALIDITY, ...EXTENSIONS, ...SIGNATURES, ...KEYS, ...ENCODING];
