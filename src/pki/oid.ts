/** Object identifiers: those that Holdfast knows, and their DER content. */
import { malformed } from "./der-error.ts";

/** Object identifiers by the names that their RFCs give them. */
export const Oid = {
  // RFC 5480
  ecPublicKey: "1.2.840.10045.2.1",
  secp256r1: "1.2.840.10045.3.1.7",
  secp384r1: "1.3.132.0.34",
  secp521r1: "1.3.132.0.35",
  // RFC 5758
  ecdsaWithSha256: "1.2.840.10045.4.3.2",
  ecdsaWithSha384: "1.2.840.10045.4.3.3",
  ecdsaWithSha512: "1.2.840.10045.4.3.4",
  // RFC 8017
  rsaEncryption: "1.2.840.113549.1.1.1",
  mgf1: "1.2.840.113549.1.1.8",
  rsassaPss: "1.2.840.113549.1.1.10",
  sha256WithRsa: "1.2.840.113549.1.1.11",
  sha384WithRsa: "1.2.840.113549.1.1.12",
  sha512WithRsa: "1.2.840.113549.1.1.13",
  sha256: "2.16.840.1.101.3.4.2.1",
  sha384: "2.16.840.1.101.3.4.2.2",
  sha512: "2.16.840.1.101.3.4.2.3",
  // RFC 2985
  extensionRequest: "1.2.840.113549.1.9.14",
  emailAddress: "1.2.840.113549.1.9.1",
  // RFC 5280
  subjectKeyIdentifier: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  nameConstraints: "2.5.29.30",
  certificatePolicies: "2.5.29.32",
  authorityKeyIdentifier: "2.5.29.35",
  policyConstraints: "2.5.29.36",
  extKeyUsage: "2.5.29.37",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
  // X.520
  commonName: "2.5.4.3",
  serialNumber: "2.5.4.5",
  country: "2.5.4.6",
  locality: "2.5.4.7",
  stateOrProvince: "2.5.4.8",
  streetAddress: "2.5.4.9",
  organization: "2.5.4.10",
  organizationalUnit: "2.5.4.11",
  postalCode: "2.5.4.17",
  uniqueIdentifier: "2.5.4.45",
} as const;

/** Longest identifier that is read, in bytes. */
const MAX_OID_BYTES = 64;

/** The dotted form of an identifier's content. Throws `MALFORMED`. */
export function decodeOid(content: Uint8Array): string {
  if (content.length === 0 || content.length > MAX_OID_BYTES) throw malformed("bad object identifier length");
  return KNOWN.get(keyOf(content)) ?? decodeArcs(content);
}

/** The identifiers above by their content: every certificate has a dozen of them. */
const KNOWN: ReadonlyMap<string, string> = new Map(
  Object.values(Oid).map((dotted) => [keyOf(encodeOid(dotted)), dotted]),
);

function keyOf(content: Uint8Array): string {
  return Buffer.from(content.buffer, content.byteOffset, content.length).toString("latin1");
}

function decodeArcs(content: Uint8Array): string {
  let text = "";
  // A number while it fits, a bigint for the rare arc that is a UUID.
  let arc: number | bigint = 0;
  let starts = true;
  for (const byte of content) {
    if (starts && byte === 0x80) throw malformed("object identifier is not minimal");
    starts = (byte & 0x80) === 0;
    const low = byte & 0x7f;
    arc = typeof arc === "number" && arc < 2 ** 45 ? arc * 128 + low : BigInt(arc) * 128n + BigInt(low);
    if (!starts) continue;
    text = text === "" ? firstArcs(arc) : `${text}.${arc}`;
    arc = 0;
  }
  if (!starts) throw malformed("object identifier cut short");
  return text;
}

/** The content of a dotted identifier whose arcs are below 2^53. */
export function encodeOid(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  return Uint8Array.from([first * 40 + second, ...rest].flatMap(base128));
}

/** The first two arcs share one number (X.690 8.19.4). */
function firstArcs(joined: number | bigint): string {
  if (joined < 40) return `0.${joined}`;
  if (joined < 80) return `1.${Number(joined) - 40}`;
  return `2.${typeof joined === "number" ? joined - 80 : joined - 80n}`;
}

function base128(value: number): number[] {
  const bytes = [value % 128];
  for (let left = Math.floor(value / 128); left > 0; left = Math.floor(left / 128)) bytes.unshift(0x80 | (left % 128));
  return bytes;
}
