/** Reads the certificate extensions that path validation needs (RFC 5280 section 4.2). */
import { malformed, reading } from "./der-error.ts";
import { DerReader } from "./der-reader.ts";
import {
  CONSTRAINT_IP_BYTES,
  type GeneralName,
  MAX_GENERAL_NAMES,
  readGeneralName,
  SAN_IP_BYTES,
} from "./general-names.ts";
import { Oid } from "./oid.ts";
import { contextConstructed, contextPrimitive, Tag } from "./tags.ts";

/** Bits of the key usage extension, in their order (RFC 5280 4.2.1.3). */
export const KEY_USAGES = [
  "digitalSignature",
  "nonRepudiation",
  "keyEncipherment",
  "dataEncipherment",
  "keyAgreement",
  "keyCertSign",
  "cRLSign",
  "encipherOnly",
  "decipherOnly",
] as const;

/** A bit of the key usage extension. */
export type KeyUsage = (typeof KEY_USAGES)[number];

/** Subtrees of a name constraints extension (RFC 5280 4.2.1.10). */
export interface NameConstraints {
  readonly permitted: readonly GeneralName[];
  readonly excluded: readonly GeneralName[];
}

/** One extension as it stands in the certificate. */
export interface Extension {
  readonly oid: string;
  readonly critical: boolean;
  /** The DER inside the octet string. */
  readonly value: Uint8Array;
}

/** What the extensions say; absent ones are `undefined` or empty. */
export interface Extensions {
  readonly extensions: readonly Extension[];
  /** Subject alternative names, in order. */
  readonly sans: readonly GeneralName[];
  readonly uriSans: readonly string[];
  readonly dnsSans: readonly string[];
  /** Basic constraints say cA. */
  readonly isCa: boolean;
  /** Basic constraints' path length, if any. */
  readonly pathLen: number | undefined;
  readonly keyUsage: ReadonlySet<KeyUsage> | undefined;
  /** Object identifiers, dotted. */
  readonly extKeyUsage: readonly string[] | undefined;
  readonly subjectKeyId: Uint8Array | undefined;
  readonly authorityKeyId: Uint8Array | undefined;
  readonly nameConstraints: NameConstraints | undefined;
  /** Policy constraints ask, at once or after some certificates, for a policy that the whole path has. */
  readonly requiresPolicy: boolean;
}

const MAX_EXTENSIONS = 64;
const MAX_VALUE_BYTES = 65_536;
const MAX_PATH_LEN = 65_535;

/** Reads the Extensions sequence, which names no extension twice and is not empty. Throws `MALFORMED`. */
export function readExtensions(reader: DerReader): readonly Extension[] {
  const extensions = reader.listOf(Tag.SEQUENCE, MAX_EXTENSIONS, (list) =>
    list.sequence((inner) => ({
      oid: inner.oid(),
      // An explicit FALSE is no DER (X.690 11.5), but common, and means the same.
      critical: inner.peek() === Tag.BOOLEAN ? inner.boolean() : false,
      value: inner.content(Tag.OCTET_STRING),
    })),
  );
  if (extensions.length === 0) throw malformed("empty extensions");
  const seen = new Set<string>();
  for (const { oid } of extensions) {
    if (seen.has(oid)) throw malformed(`duplicate extension ${oid} (RFC 5280 4.2)`);
    seen.add(oid);
  }
  return extensions;
}

/** Interprets the extensions that we know. Throws `MALFORMED`, naming the extension. */
export function interpretExtensions(extensions: readonly Extension[]): Extensions {
  const find = <T>(oid: string, name: keyof typeof Oid, read: (reader: DerReader) => T): T | undefined => {
    const found = extensions.find((extension) => extension.oid === oid);
    return found === undefined ? undefined : reading(name, () => readAll(found.value, read));
  };
  const sans = find(Oid.subjectAltName, "subjectAltName", readSubjectAltName) ?? [];
  const basic = find(Oid.basicConstraints, "basicConstraints", readBasicConstraints);
  return {
    extensions,
    sans,
    uriSans: sans.flatMap((name) => (name.type === "uri" ? [name.value] : [])),
    dnsSans: sans.flatMap((name) => (name.type === "dns" ? [name.value] : [])),
    isCa: basic?.isCa ?? false,
    pathLen: basic?.pathLen,
    keyUsage: find(Oid.keyUsage, "keyUsage", readKeyUsage),
    extKeyUsage: find(Oid.extKeyUsage, "extKeyUsage", readExtKeyUsage),
    subjectKeyId: find(Oid.subjectKeyIdentifier, "subjectKeyIdentifier", (reader) => reader.content(Tag.OCTET_STRING)),
    authorityKeyId: find(Oid.authorityKeyIdentifier, "authorityKeyIdentifier", readAuthorityKeyId),
    nameConstraints: find(Oid.nameConstraints, "nameConstraints", readNameConstraints),
    requiresPolicy: find(Oid.policyConstraints, "policyConstraints", readRequiresPolicy) ?? false,
  };
}

/** RFC 5280 4.2.1.6. */
function readSubjectAltName(reader: DerReader): GeneralName[] {
  const names = reader.listOf(Tag.SEQUENCE, MAX_GENERAL_NAMES, (list) => readGeneralName(list, SAN_IP_BYTES));
  if (names.length === 0) throw malformed("no names");
  return names;
}

/** RFC 5280 4.2.1.9. A path length without cA is refused, as that section forbids it. */
function readBasicConstraints(reader: DerReader): { isCa: boolean; pathLen: number | undefined } {
  return reader.sequence((inner) => {
    // An explicit FALSE is no DER, but Intel's endorsement certificates have it.
    const isCa = inner.peek() === Tag.BOOLEAN ? inner.boolean() : false;
    const pathLen = inner.peek() === Tag.INTEGER ? inner.small(MAX_PATH_LEN) : undefined;
    if (pathLen !== undefined && !isCa) throw malformed("path length without cA");
    return { isCa, pathLen };
  });
}

/** RFC 5280 4.2.1.3: at least one bit is set. */
function readKeyUsage(reader: DerReader): ReadonlySet<KeyUsage> {
  const bits = reader.namedBits();
  const usages = KEY_USAGES.filter((_usage, bit) => (bits >> bit) & 1);
  if (usages.length === 0) throw malformed("no usage");
  return new Set(usages);
}

/** RFC 5280 4.2.1.12. */
function readExtKeyUsage(reader: DerReader): string[] {
  const usages = reader.listOf(Tag.SEQUENCE, MAX_EXTENSIONS, (list) => list.oid());
  if (usages.length === 0) throw malformed("no usage");
  return usages;
}

/** RFC 5280 4.2.1.1: the key identifier; issuer name and serial number are not used. */
function readAuthorityKeyId(reader: DerReader): Uint8Array | undefined {
  return reader.sequence((inner) => {
    const keyId = inner.peek() === contextPrimitive(0) ? inner.content(contextPrimitive(0)) : undefined;
    if (inner.peek() === contextConstructed(1)) inner.any();
    if (inner.peek() === contextPrimitive(2)) inner.any();
    return keyId;
  });
}

/** RFC 5280 4.2.1.10. */
function readNameConstraints(reader: DerReader): NameConstraints {
  return reader.sequence((inner) => {
    const permitted = readSubtrees(inner, contextConstructed(0));
    const excluded = readSubtrees(inner, contextConstructed(1));
    if (permitted === undefined && excluded === undefined) throw malformed("no subtrees");
    return { permitted: permitted ?? [], excluded: excluded ?? [] };
  });
}

/** RFC 5280 4.2.1.11: whether there is a requireExplicitPolicy. */
function readRequiresPolicy(reader: DerReader): boolean {
  return reader.sequence((inner) => {
    const isRequired = inner.peek() === contextPrimitive(0);
    if (isRequired) inner.any();
    if (inner.peek() === contextPrimitive(1)) inner.any();
    return isRequired;
  });
}

/** GeneralSubtrees; minimum and maximum, which RFC 5280 rules out, are refused. */
function readSubtrees(reader: DerReader, tag: number): GeneralName[] | undefined {
  if (reader.peek() !== tag) return undefined;
  const subtrees = reader.listOf(tag, MAX_GENERAL_NAMES, (list) =>
    list.sequence((subtree) => readGeneralName(subtree, CONSTRAINT_IP_BYTES)),
  );
  if (subtrees.length === 0) throw malformed("empty subtrees");
  return subtrees;
}

function readAll<T>(bytes: Uint8Array, read: (reader: DerReader) => T): T {
  const reader = DerReader.of(bytes, MAX_VALUE_BYTES);
  const value = read(reader);
  reader.end();
  return value;
}
