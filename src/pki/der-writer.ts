/** Writes DER: each function returns one encoded element. */
import { AgentError } from "../lib/errors.ts";
import { timeText } from "./der-time.ts";
import { encodeOid, Oid } from "./oid.ts";
import { Tag } from "./tags.ts";

/** An element of `tag` whose content is the parts, joined. */
export function tlv(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const lengthBytes = length < 0x80 ? 0 : length < 0x100 ? 1 : length < 0x10000 ? 2 : length < 0x1000000 ? 3 : 4;
  const out = new Uint8Array(2 + lengthBytes + length);
  out[0] = tag;
  out[1] = lengthBytes === 0 ? length : 0x80 | lengthBytes;
  for (let i = 0, left = length; i < lengthBytes; i++, left = Math.floor(left / 256)) out[1 + lengthBytes - i] = left;
  let at = 2 + lengthBytes;
  for (const part of parts) {
    // most parts are a few bytes, for which a loop is faster than a call
    if (part.length > 32) out.set(part, at);
    else for (let i = 0; i < part.length; i++) out[at + i] = part[i] ?? 0;
    at += part.length;
  }
  return out;
}

/** SEQUENCE. */
export function sequence(...parts: readonly Uint8Array[]): Uint8Array {
  return tlv(Tag.SEQUENCE, ...parts);
}

/** SET OF: elements in the ascending order that DER demands (X.690 11.6). */
export function setOf(...parts: readonly Uint8Array[]): Uint8Array {
  return tlv(Tag.SET, ...[...parts].sort((a, b) => Buffer.compare(a, b)));
}

/** OBJECT IDENTIFIER, from its dotted form. */
export function oid(dotted: string): Uint8Array {
  return KNOWN_OIDS.get(dotted) ?? tlv(Tag.OID, encodeOid(dotted));
}

/** INTEGER, from big-endian bytes taken as a number without sign; leading zeros are dropped. */
export function unsigned(bigEndian: Uint8Array): Uint8Array {
  let start = 0;
  while (start < bigEndian.length - 1 && bigEndian[start] === 0) start++;
  const bytes = bigEndian.subarray(start);
  const needsZero = bytes[0] === undefined || (bytes[0] & 0x80) !== 0;
  return needsZero ? tlv(Tag.INTEGER, ZERO, bytes) : tlv(Tag.INTEGER, bytes);
}

/** INTEGER from 0 to 127. */
export function small(value: number): Uint8Array {
  return Uint8Array.of(Tag.INTEGER, 1, value);
}

/** BOOLEAN TRUE; FALSE is always a default and left out. */
export const TRUE: Uint8Array = Uint8Array.of(Tag.BOOLEAN, 1, 0xff);

/** NULL. */
export const NULL: Uint8Array = Uint8Array.of(Tag.NULL, 0);

/** BIT STRING of whole bytes. */
export function bitString(bytes: Uint8Array): Uint8Array {
  return tlv(Tag.BIT_STRING, ZERO, bytes);
}

/** BIT STRING of named bits: the numbers of those that are set, each below 16; without trailing zero bits. */
export function namedBits(...set: readonly number[]): Uint8Array {
  const highest = Math.max(-1, ...set);
  const bytes = new Uint8Array(1 + Math.ceil((highest + 1) / 8));
  bytes[0] = (bytes.length - 1) * 8 - (highest + 1);
  for (const bit of set) bytes[1 + (bit >> 3)] = (bytes[1 + (bit >> 3)] ?? 0) | (0x80 >> (bit & 7));
  return tlv(Tag.BIT_STRING, bytes);
}

/** OCTET STRING. */
export function octetString(...parts: readonly Uint8Array[]): Uint8Array {
  return tlv(Tag.OCTET_STRING, ...parts);
}

/** A string type of single-byte characters. Throws `INVALID_ARGUMENT` for text that is not printable ASCII. */
export function ascii(tag: number, text: string): Uint8Array {
  if (!/^[ -~]*$/.test(text)) throw new AgentError("INVALID_ARGUMENT", "text is not printable ASCII");
  return tlv(tag, Buffer.from(text, "latin1"));
}

/** Time of a certificate's validity, from milliseconds since the Unix epoch (RFC 5280 4.1.2.5). */
export function time(ms: number): Uint8Array {
  const { tag, text } = timeText(ms);
  return tlv(tag, Buffer.from(text, "latin1"));
}

const ZERO = Uint8Array.of(0);

/** Ready for use, because every certificate has a dozen. */
const KNOWN_OIDS: ReadonlyMap<string, Uint8Array> = new Map(
  Object.values(Oid).map((dotted) => [dotted, tlv(Tag.OID, encodeOid(dotted))]),
);
