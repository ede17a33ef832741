/** What a fuzzing thread is told, and what it says. */
import type { RunResult } from "./target.ts";

/** What the thread is told. */
export interface Job {
  /** URL of a module that exports `TARGETS`. */
  readonly module: string;
  readonly target: string;
  readonly seed: number;
  readonly runs: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly keepGoing: boolean;
  readonly extraSeeds: readonly Uint8Array[];
  /** Parts of the URLs of modules in which coverage is counted; none: not guided by coverage. */
  readonly instrumented: readonly string[];
  /** Count of inputs and length of the latest, 32 bits each, then its bytes. */
  readonly shared: SharedArrayBuffer;
}

/** What the thread says. */
export type Message =
  | { readonly kind: "progress"; readonly executions: number }
  | { readonly kind: "kept"; readonly input: Uint8Array }
  | { readonly kind: "done"; readonly result: RunResult };

/** Bytes of `Job.shared` before the input. */
export const HEADER_BYTES = 8;
/** Longest input of any target. */
export const MAX_INPUT_BYTES = 1 << 20;
