/** Writes the certificate extensions of our profiles (RFC 5280 section 4.2). */
import { ascii, namedBits, octetString, oid, sequence, TRUE, tlv } from "./der-writer.ts";
import { KEY_USAGES, type KeyUsage } from "./extensions.ts";
import { GeneralNameTag } from "./general-names.ts";
import { Oid } from "./oid.ts";
import { contextPrimitive } from "./tags.ts";

/** One extension. */
export function encodeExtension(type: string, critical: boolean, value: Uint8Array): Uint8Array {
  return critical ? sequence(oid(type), TRUE, octetString(value)) : sequence(oid(type), octetString(value));
}

/** Key usage, critical. */
export function keyUsage(...usages: readonly KeyUsage[]): Uint8Array {
  return encodeExtension(Oid.keyUsage, true, namedBits(...usages.map((usage) => KEY_USAGES.indexOf(usage))));
}

/** Extended key usage. */
export function extKeyUsage(...usages: readonly string[]): Uint8Array {
  return encodeExtension(Oid.extKeyUsage, false, sequence(...usages.map(oid)));
}

/** Basic constraints, critical: a CA without path length, or none. */
export function basicConstraints(isCa: boolean): Uint8Array {
  return encodeExtension(Oid.basicConstraints, true, isCa ? sequence(TRUE) : sequence());
}

/** Subject key identifier. */
export function subjectKeyIdentifier(keyId: Uint8Array): Uint8Array {
  return encodeExtension(Oid.subjectKeyIdentifier, false, octetString(keyId));
}

/** Authority key identifier: the issuer's key identifier alone. */
export function authorityKeyIdentifier(keyId: Uint8Array): Uint8Array {
  return encodeExtension(Oid.authorityKeyIdentifier, false, sequence(tlv(contextPrimitive(0), keyId)));
}

/** Subject alternative names: DNS names first, then the URI, as Go writes them. Critical if the subject is empty. */
export function subjectAltName(dnsNames: readonly string[], uris: readonly string[], critical = false): Uint8Array {
  const names = [
    ...dnsNames.map((name) => ascii(GeneralNameTag.dns, name)),
    ...uris.map((uri) => ascii(GeneralNameTag.uri, uri)),
  ];
  return encodeExtension(Oid.subjectAltName, critical, sequence(...names));
}
