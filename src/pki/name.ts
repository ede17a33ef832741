/** Distinguished names: the few attributes we write, and names as they were read (RFC 5280 4.1.2.4). */
import { AgentError } from "../lib/errors.ts";
import { malformed } from "./der-error.ts";
import { DerReader } from "./der-reader.ts";
import { ascii, oid, sequence, setOf, tlv } from "./der-writer.ts";
import { Oid } from "./oid.ts";
import { decodeText, isPrintableString } from "./strings.ts";
import { Tag } from "./tags.ts";

/** A name to be written; attributes appear in this order, as Go and SPIRE write them. */
export interface Name {
  readonly country?: readonly string[];
  readonly organization?: readonly string[];
  readonly organizationalUnit?: readonly string[];
  readonly commonName?: string;
  readonly serialNumber?: string;
  /** x509UniqueIdentifier (2.5.4.45), as SPIRE's `uniqueid` composer writes it. */
  readonly uniqueId?: string;
}

/** A name as it stands in a certificate. Two names are the same when their bytes are. */
export interface DistinguishedName {
  readonly der: Uint8Array;
  /** RFC 4514 text, for people: last attribute first. */
  readonly text: string;
}

/** One attribute of a relative distinguished name. `text` is `undefined` when the value is no string that we read. */
export interface NameAttribute {
  readonly type: string;
  readonly text: string | undefined;
  readonly der: Uint8Array;
}

/** Most relative distinguished names in a name, and most attributes in one of those. */
const MAX_RDNS = 64;
const MAX_NAME_BYTES = 65_536;

const SHORT_NAMES: Readonly<Record<string, string>> = {
  [Oid.commonName]: "CN",
  [Oid.serialNumber]: "SERIALNUMBER",
  [Oid.country]: "C",
  [Oid.locality]: "L",
  [Oid.stateOrProvince]: "ST",
  [Oid.streetAddress]: "STREET",
  [Oid.organization]: "O",
  [Oid.organizationalUnit]: "OU",
  [Oid.postalCode]: "POSTALCODE",
};

/** Encodes a name. Throws `INVALID_ARGUMENT` for text that no certificate may carry. */
export function encodeName(name: Name): Uint8Array {
  return sequence(
    ...rdn(Oid.country, name.country ?? []),
    ...rdn(Oid.organization, name.organization ?? []),
    ...rdn(Oid.organizationalUnit, name.organizationalUnit ?? []),
    ...rdn(Oid.commonName, optional(name.commonName)),
    ...rdn(Oid.serialNumber, optional(name.serialNumber)),
    ...rdn(Oid.uniqueIdentifier, optional(name.uniqueId)),
  );
}

/** Reads a name and returns it with its bytes; malformed names are refused here, not when the text is asked for. */
export function readName(reader: DerReader): DistinguishedName {
  const der = reader.whole(Tag.SEQUENCE);
  return new ReadName(der, relativeNames(der));
}

/** The relative distinguished names of an encoded name, in order. Throws `MALFORMED`. */
export function relativeNames(der: Uint8Array): readonly (readonly NameAttribute[])[] {
  const reader = DerReader.of(der, MAX_NAME_BYTES);
  const rdns = reader.listOf(Tag.SEQUENCE, MAX_RDNS, (names) => {
    const attributes = names.listOf(Tag.SET, MAX_RDNS, readAttribute);
    if (attributes.length === 0) throw malformed("empty relative distinguished name");
    return attributes;
  });
  reader.end();
  return rdns;
}

/** Whether two encoded names are the same, byte for byte. */
export function sameName(a: DistinguishedName, b: DistinguishedName): boolean {
  return Buffer.compare(a.der, b.der) === 0;
}

/** Whether a certificate's issuer and subject are the same (RFC 5280 3.2). */
export function isSelfIssued(certificate: {
  readonly issuer: DistinguishedName;
  readonly subject: DistinguishedName;
}): boolean {
  return sameName(certificate.issuer, certificate.subject);
}

/** Whether a name has no attributes. */
export function isEmptyName(name: DistinguishedName): boolean {
  return name.der.length === 2;
}

/** The attributes of a parsed name that `Name` knows; others are left out, and so are all but the first of a single one. */
export function nameOf(dn: DistinguishedName): Name {
  const attributes = relativeNames(dn.der).flat();
  const all = (type: string): string[] =>
    attributes.flatMap((attribute) => (attribute.type === type && attribute.text ? [attribute.text] : []));
  const list = (key: "country" | "organization" | "organizationalUnit", values: string[]): Name =>
    values.length > 0 ? { [key]: values } : {};
  const single = (key: "commonName" | "serialNumber" | "uniqueId", value: string | undefined): Name =>
    value === undefined ? {} : { [key]: value };
  return {
    ...list("country", all(Oid.country)),
    ...list("organization", all(Oid.organization)),
    ...list("organizationalUnit", all(Oid.organizationalUnit)),
    ...single("commonName", all(Oid.commonName)[0]),
    ...single("serialNumber", all(Oid.serialNumber)[0]),
    ...single("uniqueId", all(Oid.uniqueIdentifier)[0]),
  };
}

class ReadName implements DistinguishedName {
  readonly der: Uint8Array;
  readonly #rdns: readonly (readonly NameAttribute[])[];

  constructor(der: Uint8Array, rdns: readonly (readonly NameAttribute[])[]) {
    this.der = der;
    this.#rdns = rdns;
  }

  get text(): string {
    return this.#rdns
      .map((attributes) => attributes.map(attributeText).join("+"))
      .reverse()
      .join(",");
  }
}

function readAttribute(set: DerReader): NameAttribute {
  return set.sequence((pair) => {
    const type = pair.oid();
    const { tag, content, der } = pair.any();
    return { type, text: decodeText(tag, content), der };
  });
}

function attributeText({ type, text, der }: NameAttribute): string {
  const name = SHORT_NAMES[type] ?? type;
  return `${name}=${text === undefined ? `#${Buffer.from(der).toString("hex")}` : escapeText(text)}`;
}

/** RFC 4514 2.4; what a terminal or a log could misread is written as the hex of its UTF-8 bytes. */
function escapeText(text: string): string {
  return text
    .replaceAll(/["+,;<>\\]|^[ #]| $/g, "\\$&")
    .replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, (char) => Buffer.from(char).toString("hex").replaceAll(/../g, "\\$&"));
}

/** One relative distinguished name of one attribute type with these values; none without values. */
function rdn(type: string, values: readonly string[]): Uint8Array[] {
  return values.length === 0 ? [] : [setOf(...values.map((value) => sequence(oid(type), directoryString(value))))];
}

function optional(value: string | undefined): readonly string[] {
  return value === undefined || value === "" ? [] : [value];
}

function directoryString(text: string): Uint8Array {
  if (text === "" || text.length > 256 || /\p{Cc}/u.test(text) || !text.isWellFormed()) {
    throw new AgentError("INVALID_ARGUMENT", "name attribute is empty, too long, or has control characters");
  }
  return isPrintableString(text) ? ascii(Tag.PRINTABLE_STRING, text) : tlv(Tag.UTF8_STRING, Buffer.from(text));
}
