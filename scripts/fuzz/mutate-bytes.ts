/** Changes bytes as AFL does, and as the TPM's structures want: a sized member grows or shrinks with its size. */
import type { Random } from "./random.ts";

const NUMBERS = [
  0, 1, 2, 3, 4, 7, 8, 16, 20, 23, 24, 31, 32, 48, 63, 64, 65, 66, 67, 127, 128, 255, 256, 512, 513, 0x0fff, 0x1000,
  0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff,
];
/** Longest run of bytes that one change adds, mostly. */
const MAX_RUN = 64;
/** How often one byte is repeated, now and then. */
const MAX_REPEAT = 2_000;

/** Bytes that change in place and in length. */
class Scratch {
  bytes = new Uint8Array(4096);
  length = 0;

  set(source: Uint8Array): void {
    this.#reserve(source.length);
    this.bytes.set(source);
    this.length = source.length;
  }

  insert(at: number, inserted: Uint8Array): void {
    this.#reserve(this.length + inserted.length);
    this.bytes.copyWithin(at + inserted.length, at, this.length);
    this.bytes.set(inserted, at);
    this.length += inserted.length;
  }

  remove(at: number, count: number): void {
    this.bytes.copyWithin(at, at + count, this.length);
    this.length -= count;
  }

  write(at: number, value: number, width: number): void {
    for (let i = 0; i < width && at + i < this.length; i++) this.bytes[at + i] = value >>> (8 * (width - 1 - i));
  }

  read(at: number, width: number): number {
    let value = 0;
    for (let i = 0; i < width; i++) value = value * 256 + (this.bytes[at + i] ?? 0);
    return value;
  }

  #reserve(length: number): void {
    if (length <= this.bytes.length) return;
    const grown = new Uint8Array(length * 2);
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }
}

const scratch = new Scratch();

/** One to some changes of `parent`, mostly one. */
export function mutateBytes(
  parent: Uint8Array,
  other: Uint8Array,
  random: Random,
  words: readonly Uint8Array[],
): Uint8Array {
  scratch.set(parent);
  do change(scratch, other, random, words);
  while (random.below(8) < 3);
  return scratch.bytes.slice(0, scratch.length);
}

function change(data: Scratch, other: Uint8Array, random: Random, words: readonly Uint8Array[]): void {
  const at = random.below(data.length + 1);
  const run = Math.min(data.length - at, 1 + random.below(random.oneIn(4) ? MAX_RUN : 4));
  const width = random.pick([1, 2, 2, 4]);
  switch (random.below(14)) {
    case 0:
      data.write(at, (data.bytes[at] ?? 0) ^ (1 << random.below(8)), 1);
      return;
    case 1:
      data.write(at, random.u32(), 1);
      return;
    case 2:
      data.write(at, random.pick(NUMBERS), width);
      return;
    case 3:
      data.write(at, data.read(at, width) + random.below(33) - 16, width);
      return;
    case 4:
      data.insert(at, random.bytes(1 + random.below(random.oneIn(8) ? MAX_RUN : 4)));
      return;
    case 5:
      data.remove(at, run);
      return;
    case 6:
      data.insert(random.below(data.length + 1), data.bytes.slice(at, at + run));
      return;
    case 7:
      data.bytes.copyWithin(random.below(data.length - run + 1), at, at + run);
      return;
    case 8:
      changeEnd(data, at, random);
      return;
    case 9:
    case 10:
      useWord(data, at, random, words);
      return;
    case 11:
      splice(data, at, other, random);
      return;
    default:
      resize(data, random);
  }
}

/** Cut short, longer, or one byte many times. */
function changeEnd(data: Scratch, at: number, random: Random): void {
  const kind = random.below(8);
  if (kind < 3) data.length = at;
  else if (kind < 7) data.insert(data.length, random.bytes(1 + random.below(4)));
  else data.insert(at, new Uint8Array(random.below(MAX_REPEAT)).fill(data.bytes[at] ?? 0));
}

function useWord(data: Scratch, at: number, random: Random, words: readonly Uint8Array[]): void {
  if (words.length === 0) return;
  const word = random.pick(words);
  if (!random.oneIn(3)) data.remove(at, Math.min(word.length, data.length - at));
  data.insert(at, word);
}

/** The other's bytes: a part of them, or all from here on. */
function splice(data: Scratch, at: number, other: Uint8Array, random: Random): void {
  if (random.oneIn(3)) {
    data.length = at;
    data.insert(at, other.subarray(random.oneIn(2) ? Math.min(at, other.length) : random.below(other.length + 1)));
    return;
  }
  const from = random.below(other.length + 1);
  data.insert(at, other.subarray(from, from + random.below(MAX_RUN)));
}

/** Finds what may be a TPM2B from a random place on, and gives it another length. */
function resize(data: Scratch, random: Random): void {
  if (data.length < 2) return;
  const start = random.below(data.length - 1);
  for (let at = start; at < Math.min(start + 40, data.length - 1); at++) {
    const length = data.read(at, 2);
    if (length > data.length - at - 2) continue;
    const wanted = random.oneIn(2) ? random.pick(NUMBERS) % 600 : Math.max(0, length + random.below(9) - 4);
    const end = at + 2 + length;
    if (wanted > length) data.insert(end, random.bytes(wanted - length));
    else data.remove(at + 2 + wanted, length - wanted);
    data.write(at, wanted, 2);
    return;
  }
}
