/** DER as a tree: constructed elements, and strings of octets or bits that hold DER themselves. */
import { mutateBytes } from "./mutate-bytes.ts";
import { type Place, type TreeFormat, treeMutator } from "./mutate-tree.ts";

const OCTET_STRING = 0x04;
const BIT_STRING = 0x03;
const SEQUENCE = 0x30;
const CONSTRUCTED = 0x20;
/** What certificates are made of. */
const TAGS = [
  0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0a, 0x0c, 0x13, 0x14, 0x16, 0x17, 0x18, 0x1e, 0x30, 0x31, 0x80, 0x81, 0x82,
  0x84, 0x86, 0x87, 0x88, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0x1f, 0xbf,
];
const MAX_DEPTH = 40;

/** Changes DER. */
export const mutateDer = treeMutator({
  parse(bytes) {
    const places: Place[] = [];
    return parse(bytes, 0, bytes.length, -1, 0, places) ? places : undefined;
  },
  header,
  changeTag: (tag, random) => (random.oneIn(4) ? tag ^ CONSTRUCTED : random.pick(TAGS)),
  changeContent: (_tag, content, other, random, words) => mutateBytes(content, other, random, words),
  around: (random) => random.pick([0x30, 0x31, 0xa0, 0xa3]),
} satisfies TreeFormat);

/** For those who make DER: an element around bytes. */
export function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([header(tag, length), ...parts]);
}

/** Adds the elements between two offsets; false, and none added, when the bytes are no elements to their end. */
function parse(bytes: Uint8Array, from: number, end: number, parent: number, depth: number, places: Place[]): boolean {
  const known = places.length;
  for (let at = from; at < end; ) {
    const place = elementAt(bytes, at, end, parent);
    if (place === undefined) {
      places.length = known;
      return false;
    }
    const index = places.push(place) - 1;
    if (depth < MAX_DEPTH) parseInner(bytes, place, index, depth + 1, places);
    at = place.end;
  }
  return true;
}

function parseInner(bytes: Uint8Array, { tag, from, end }: Place, index: number, depth: number, places: Place[]): void {
  if (from === end) return;
  if ((tag & CONSTRUCTED) !== 0 || (tag === OCTET_STRING && bytes[from] !== 0)) {
    parse(bytes, from, end, index, depth, places);
  } else if (tag === BIT_STRING && bytes[from] === 0 && bytes[from + 1] === SEQUENCE) {
    parse(bytes, from + 1, end, index, depth, places);
  }
}

function elementAt(bytes: Uint8Array, start: number, end: number, parent: number): Place | undefined {
  let length = bytes[start + 1] ?? 0;
  let from = start + 2;
  if (length >= 0x80) {
    const count = length & 0x7f;
    if (count === 0 || count > 3) return undefined;
    length = 0;
    for (let i = 0; i < count; i++) length = length * 256 + (bytes[from + i] ?? 0);
    from += count;
  }
  if (from + length > end) return undefined;
  return { tag: bytes[start] ?? 0, start, from, end: from + length, parent };
}

function header(tag: number, length: number): Uint8Array {
  if (length < 0x80) return Uint8Array.of(tag, length);
  if (length < 0x100) return Uint8Array.of(tag, 0x81, length);
  if (length < 0x10000) return Uint8Array.of(tag, 0x82, length >> 8, length);
  return Uint8Array.of(tag, 0x83, length >> 16, length >> 8, length);
}
