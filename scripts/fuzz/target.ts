/** What is fuzzed: one function of bytes, where its inputs come from, and what a violation is. */
import type { Random } from "./random.ts";

/** Whether the code under test took the input. Both are right; the counts tell how good the inputs are. */
export type Verdict = "accepted" | "refused";

/** Makes an input from `parent` and, if it likes, parts of `other`; neither is changed. */
export type Mutate = (
  parent: Uint8Array,
  other: Uint8Array,
  random: Random,
  words: readonly Uint8Array[],
) => Uint8Array;

/** One thing to fuzz. */
export interface FuzzTarget {
  readonly name: string;
  /** One line for `--help`. */
  readonly about: string;
  /** Longest input. */
  readonly maxBytes: number;
  /** Inputs to start from, the same at every call. */
  seeds(): readonly Uint8Array[];
  readonly mutate: Mutate;
  /** Two of three inputs are made from seeds: where what is kept is mostly refused, few others would be accepted. */
  readonly favoursSeeds?: boolean;
  /** Parts of the URLs of modules in which coverage is counted. */
  readonly covers: readonly string[];
  /** Runs one input. Throws a `Violation`, or anything else that the code under test must not throw; or rejects with it. */
  run(input: Uint8Array): Verdict | Promise<Verdict>;
}

/** A promise of the code under test that does not hold. */
export class Violation extends Error {
  override readonly name = "Violation";
}

/** Throws unless `holds`. */
export function holds(condition: boolean, promise: string): asserts condition {
  if (!condition) throw new Violation(promise);
}

/** An input that the code under test should not have survived as it did. */
export interface Finding {
  readonly target: string;
  /** Name and message of what was thrown, or what took too long. */
  readonly what: string;
  readonly input: Uint8Array;
}

/** What came of a run. */
export interface RunResult {
  readonly executions: number;
  readonly accepted: number;
  /** Inputs that are kept since each showed something new. */
  readonly corpus: number;
  /** Places in the code that were reached, of those that there are. */
  readonly reached: number;
  readonly places: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  /** Longest time that one input took, in milliseconds. */
  readonly slowestMs: number;
  /** The first of each kind. */
  readonly findings: readonly Finding[];
}
