/** Protobuf's wire format as a tree, by its bytes alone: what has a length and reads as a message is taken for one. */
import { mutateBytes } from "./mutate-bytes.ts";
import { type Place, type TreeFormat, treeMutator } from "./mutate-tree.ts";
import type { Random } from "./random.ts";

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;
const MAX_DEPTH = 20;
const NUMBERS = [
  0n,
  1n,
  2n,
  3n,
  7n,
  127n,
  128n,
  255n,
  300n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 32n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 53n + 1n,
  8_640_000_000_000n,
  8_640_000_000_001n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 1n,
];
const TEXTS = [
  "",
  "a",
  "*",
  "default",
  "ROOTCA",
  "ALL",
  "absent",
  "__proto__",
  "constructor",
  "spiffe://example.org",
  "spiffe://example.org/workload",
  "spiffe://other.test/workload",
  "spiffe://example.org/spire/agent/x509/1",
  "example.org",
  "other.test",
  "é",
  "\u0000",
  "\ufeff",
  "💥",
].map((text) => Buffer.from(text));

/** Changes a protobuf message. */
export const mutateProtobuf = treeMutator({
  parse(bytes) {
    const places: Place[] = [];
    return parse(bytes, 0, bytes.length, -1, 0, places) ? places : undefined;
  },
  header: (tag, length) => ((tag & 7) === BYTES ? field(tag, length) : varint(BigInt(tag))),
  changeTag,
  changeContent,
  around: (random) => ((1 + random.below(8)) << 3) | BYTES,
} satisfies TreeFormat);

/** For those who make messages: what stands before the content of a field that has a length. */
export function field(tag: number, length: number): Uint8Array {
  return Uint8Array.of(...varint(BigInt(tag)), ...varint(BigInt(length)));
}

/** A second reader: the texts that fields of one number hold, at the top of a message. */
export function stringsOf(bytes: Uint8Array, number: number): string[] {
  const places: Place[] = [];
  if (!parse(bytes, 0, bytes.length, -1, MAX_DEPTH, places)) return [];
  return places
    .filter(({ tag }) => tag === ((number << 3) | BYTES))
    .map(({ from, end }) => Buffer.from(bytes.subarray(from, end)).toString());
}

/** Adds the fields between two offsets; false, and none added, when the bytes are no fields to their end. */
function parse(bytes: Uint8Array, from: number, end: number, parent: number, depth: number, places: Place[]): boolean {
  const known = places.length;
  for (let at = from; at < end; ) {
    const place = fieldAt(bytes, at, end, parent);
    if (place === undefined) {
      places.length = known;
      return false;
    }
    const index = places.push(place) - 1;
    at = place.end;
    if ((place.tag & 7) === BYTES && place.end - place.from > 1 && depth < MAX_DEPTH)
      parse(bytes, place.from, place.end, index, depth + 1, places);
  }
  return true;
}

function fieldAt(bytes: Uint8Array, start: number, limit: number, parent: number): Place | undefined {
  const tag = readVarint(bytes, start);
  if (tag === undefined || tag.value < 8 || tag.value > 0xffff_ffff) return undefined;
  const after = readVarint(bytes, tag.end);
  const place = (from: number, end: number): Place | undefined =>
    end > limit ? undefined : { tag: tag.value, start, from, end, parent };
  switch (tag.value & 7) {
    case VARINT:
      return after === undefined ? undefined : place(tag.end, after.end);
    case FIXED64:
      return place(tag.end, tag.end + 8);
    case FIXED32:
      return place(tag.end, tag.end + 4);
    case BYTES:
      return after === undefined ? undefined : place(after.end, after.end + after.value);
    default:
      return undefined;
  }
}

function changeTag(tag: number, random: Random): number {
  const number = random.oneIn(16) ? random.below(0x1000) + 1 : 1 + random.below(20);
  const kind = random.oneIn(4) ? random.below(8) : tag & 7;
  return ((number << 3) | kind) >>> 0;
}

function changeContent(
  tag: number,
  content: Uint8Array,
  other: Uint8Array,
  random: Random,
  words: readonly Uint8Array[],
): Uint8Array {
  if ((tag & 7) === VARINT) {
    if (random.oneIn(4))
      return varint(BigInt(Math.trunc(readVarint(content, 0)?.value ?? 0)) ^ (1n << BigInt(random.below(8))));
    return varint(random.oneIn(4) ? BigInt(random.u32()) : random.pick(NUMBERS));
  }
  if (random.oneIn(6)) return random.pick(TEXTS);
  if (random.oneIn(8) && words.length > 0) return random.pick(words);
  return mutateBytes(content, other, random, words);
}

/** Exact up to 2^53, which is enough for tags and lengths. */
function readVarint(bytes: Uint8Array, start: number): { readonly value: number; readonly end: number } | undefined {
  let [value, scale] = [0, 1];
  for (let at = start; at < bytes.length && at < start + 10; at++) {
    const byte = bytes[at] ?? 0;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return { value, end: at + 1 };
    scale *= 128;
  }
  return undefined;
}

function varint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let left = BigInt.asUintN(64, value);
  for (; left >= 0x80n; left >>= 7n) bytes.push(Number(left & 0x7fn) | 0x80);
  bytes.push(Number(left));
  return Uint8Array.from(bytes);
}
