/** Changes bytes that nest: DER, protobuf. Elements come, go, move and change, and the lengths around them follow. */
import { mutateBytes } from "./mutate-bytes.ts";
import type { Random } from "./random.ts";
import type { Mutate } from "./target.ts";

/** Where an element lies. */
export interface Place {
  readonly tag: number;
  /** Its first byte, the first of what it holds, and the one after its last. */
  readonly start: number;
  readonly from: number;
  readonly end: number;
  /** Index of the place that it lies in; -1 for none. A place comes after the one that it lies in. */
  readonly parent: number;
}

/** How such bytes are read and written. */
export interface TreeFormat {
  /** Undefined unless the bytes are elements to their end. */
  parse(bytes: Uint8Array): readonly Place[] | undefined;
  /** What stands before the content of an element. */
  header(tag: number, length: number): Uint8Array;
  /** Another tag. */
  changeTag(tag: number, random: Random): number;
  /** Other content for an element. */
  changeContent(
    tag: number,
    content: Uint8Array,
    other: Uint8Array,
    random: Random,
    words: readonly Uint8Array[],
  ): Uint8Array;
  /** A tag for an element around others. */
  around(random: Random): number;
}

const NOTHING = new Uint8Array();
const MAX_REPEAT = 40;
/** More than any bound on a number of elements. */
const MANY = 1_100;
/** Nothing is repeated in what is longer. */
const MAX_BYTES = 8_192;
/** Most changes of one input: what grows again and again has no end. */
const MAX_CHANGES = 3;

/** One change of the tree, or some; of the bytes now and then. */
export function treeMutator(format: TreeFormat): Mutate {
  const known = new WeakMap<Uint8Array, readonly Place[]>();
  const placesOf = (bytes: Uint8Array): readonly Place[] => {
    let places = known.get(bytes);
    if (places === undefined) {
      places = format.parse(bytes) ?? [];
      known.set(bytes, places);
    }
    return places;
  };
  return (parent, other, random, words) => {
    let [bytes, places] = [parent, random.oneIn(8) ? [] : placesOf(parent)];
    if (places.length === 0) return mutateBytes(parent, other, random, words);
    const others = placesOf(other);
    for (let changes = 1; ; changes++) {
      const at = random.below(places.length);
      const place = others.length === 0 ? undefined : random.pick(others);
      const theirs = place === undefined ? NOTHING : other.subarray(place.start, place.end);
      bytes = splice(bytes, places, at, change({ bytes, places, at, theirs, place }, format, random, words), format);
      if (changes === MAX_CHANGES || !random.oneIn(4)) return bytes;
      places = format.parse(bytes) ?? [];
      if (places.length === 0) return bytes;
    }
  };
}

interface Chosen {
  readonly bytes: Uint8Array;
  readonly places: readonly Place[];
  readonly at: number;
  /** An element of the other input, and where it lies in it. */
  readonly theirs: Uint8Array;
  readonly place: Place | undefined;
}

/** What comes in the place of an element. */
function change(chosen: Chosen, format: TreeFormat, random: Random, words: readonly Uint8Array[]): Uint8Array {
  const { bytes, places, at, theirs, place } = chosen;
  const { tag, start, from, end } = places[at] as Place;
  const [whole, content] = [bytes.subarray(start, end), bytes.subarray(from, end)];
  switch (random.below(16)) {
    case 0:
      return NOTHING;
    case 1:
      return join(whole, whole);
    case 2:
      return random.oneIn(2) ? join(theirs, whole) : join(whole, theirs);
    case 3:
      return theirs;
    case 4: {
      const other = random.oneIn(2) && place !== undefined ? place.tag : format.changeTag(tag, random);
      return join(format.header(other, content.length), content);
    }
    case 5:
      return around(whole, format, random);
    case 6:
      return content;
    case 7:
      return repeated(whole, bytes.length, random);
    case 8:
    case 9:
      return join(format.header(tag, content.length), turned(chosen, random));
    default: {
      const changed = format.changeContent(tag, content, theirs, random, words);
      return join(format.header(tag, changed.length), changed);
    }
  }
}

/** The bytes with others in the place of an element. */
function splice(
  bytes: Uint8Array,
  places: readonly Place[],
  at: number,
  by: Uint8Array,
  format: TreeFormat,
): Uint8Array {
  const { start, end, parent } = places[at] as Place;
  let more = by.length - (end - start);
  // From the inside out, each with the header that stands before it.
  const above: { readonly place: Place; readonly header: Uint8Array }[] = [];
  for (let index = parent; index >= 0; ) {
    const place = places[index] as Place;
    const header = format.header(place.tag, place.end - place.from + more);
    more += header.length - (place.from - place.start);
    above.push({ place, header });
    index = place.parent;
  }
  const result = new Uint8Array(bytes.length + more);
  let [read, written] = [0, 0];
  const copy = (until: number): void => {
    result.set(bytes.subarray(read, until), written);
    written += until - read;
  };
  for (const { place, header } of above.reverse()) {
    copy(place.start);
    result.set(header, written);
    written += header.length;
    read = place.from;
  }
  copy(start);
  result.set(by, written);
  written += by.length;
  read = end;
  copy(bytes.length);
  return result;
}

function around(whole: Uint8Array, format: TreeFormat, random: Random): Uint8Array {
  let nested = whole;
  for (let depth = random.oneIn(64) ? random.below(200) : 1; depth > 0; depth--)
    nested = join(format.header(format.around(random), nested.length), nested);
  return nested;
}

function repeated(whole: Uint8Array, size: number, random: Random): Uint8Array {
  if (size > MAX_BYTES) return whole;
  const times = whole.length < 16 && random.oneIn(32) ? random.below(MANY) : random.below(MAX_REPEAT);
  return join(...Array.from({ length: times }, () => whole));
}

/** The content with its elements in another order. */
function turned({ bytes, places, at }: Chosen, random: Random): Uint8Array {
  const { from, end } = places[at] as Place;
  const starts: number[] = [];
  for (let i = at + 1; i < places.length && (places[i] as Place).start < end; i++)
    if (places[i]?.parent === at) starts.push((places[i] as Place).start);
  if (starts.length < 2) return bytes.subarray(from, end);
  const [first = from, pivot = from] = [starts[0], starts[1 + random.below(starts.length - 1)]];
  return join(bytes.subarray(from, first), bytes.subarray(pivot, end), bytes.subarray(first, pivot));
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
