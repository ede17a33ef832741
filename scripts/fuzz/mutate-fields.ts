/** Inputs of several parts: a byte of flags, then each part with its length in 16 bits; changed part by part. */
import { mutateBytes } from "./mutate-bytes.ts";
import type { Random } from "./random.ts";
import type { Mutate } from "./target.ts";

/** TPM_ALG_ID and TPM_ECC_CURVE, all below 256. */
const ALGORITHMS = [0x01, 0x03, 0x04, 0x05, 0x06, 0x0b, 0x0c, 0x0d, 0x10, 0x14, 0x16, 0x18, 0x23, 0x43];

/** The parts and what the flags say about them. */
export interface Fields {
  readonly flags: number;
  readonly parts: readonly Uint8Array[];
}

/** Writes an input. */
export function packFields({ flags, parts }: Fields): Uint8Array {
  return Buffer.concat([
    Uint8Array.of(flags),
    ...parts.flatMap((part) => [Uint8Array.of(part.length >> 8, part.length), part]),
  ]);
}

/** Reads an input as well as it can: of `count` parts, what is cut short ends early and what is missing is empty. */
export function unpackFields(input: Uint8Array, count: number): Fields {
  const parts: Uint8Array[] = [];
  let at = 1;
  for (let i = 0; i < count; i++) {
    const length = ((input[at] ?? 0) << 8) | (input[at + 1] ?? 0);
    parts.push(new Uint8Array(input.subarray(at + 2, at + 2 + length)));
    at += 2 + length;
  }
  return { flags: input[0] ?? 0, parts };
}

/** Changes one or two parts; sometimes the flags, or a part for the other input's. */
export function mutateFields(count: number) {
  return (parent: Uint8Array, other: Uint8Array, random: Random, words: readonly Uint8Array[]): Uint8Array => {
    const { flags, parts } = unpackFields(parent, count);
    const others = unpackFields(other, count).parts;
    const changed = [...parts];
    do {
      const at = random.below(count);
      const [mine, theirs] = [changed[at] ?? new Uint8Array(), others[at] ?? new Uint8Array()];
      const kind = random.below(8);
      if (kind === 0) changed[at] = theirs;
      else if (kind === 1) changed[at] = otherAlgorithm(mine, random);
      else changed[at] = mutateBytes(mine, theirs, random, words);
    } while (random.oneIn(4));
    return packFields({ flags: random.oneIn(6) ? random.below(256) : flags, parts: changed });
  };
}

/** Puts an algorithm in the place of another: a check may forget one that a reader knows. */
function otherAlgorithm(bytes: Uint8Array, random: Random): Uint8Array {
  // Not slice(), which for a Buffer is no copy.
  const changed = new Uint8Array(bytes);
  const places: number[] = [];
  for (let at = 1; at < changed.length; at++)
    if (changed[at - 1] === 0 && ALGORITHMS.includes(changed[at] ?? 0)) places.push(at);
  if (places.length > 0) changed[random.pick(places)] = random.pick(ALGORITHMS);
  return changed;
}

/** As `mutateFields`, each part in its own way. */
export function mutateParts(...ways: readonly Mutate[]): Mutate {
  return (parent, other, random, words) => {
    const { flags, parts } = unpackFields(parent, ways.length);
    const others = unpackFields(other, ways.length).parts;
    const changed = [...parts];
    do {
      const at = random.below(ways.length);
      const [mine, theirs] = [changed[at] ?? new Uint8Array(), others[at] ?? new Uint8Array()];
      changed[at] = random.oneIn(10) ? theirs : (ways[at] ?? mutateBytes)(mine, theirs, random, words);
    } while (random.oneIn(4));
    return packFields({ flags: random.oneIn(6) ? random.below(256) : flags, parts: changed.map(fitting) });
  };
}

/** As much as a part's length can say. */
function fitting(part: Uint8Array): Uint8Array {
  return part.length > 0xffff ? part.subarray(0, 0xffff) : part;
}
