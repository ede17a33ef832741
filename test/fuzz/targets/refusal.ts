/** What the code under test may throw. */
import { holds, type Verdict } from "../../../scripts/fuzz/target.ts";
import { AgentError, type ErrorCode } from "../../../src/lib/errors.ts";

/** It goes to the log, which a peer must not be able to fill. */
const MAX_REFUSAL = 1_000;

/** What a reader returned, or that it refused. */
export type Outcome<T> = { readonly verdict: "accepted"; readonly value: T } | { readonly verdict: "refused" };

/** Runs a reader: a value, a refusal by one of these codes, or an exception that goes on. */
export function outcome<T>(read: () => T, ...codes: readonly ErrorCode[]): Outcome<T> {
  try {
    return { verdict: "accepted", value: read() };
  } catch (error) {
    if (!(error instanceof AgentError && codes.includes(error.code))) throw error;
    holds(error.message.length <= MAX_REFUSAL, `a refusal has at most ${MAX_REFUSAL} characters, whatever was sent`);
    return { verdict: "refused" };
  }
}

/** Reads with `read`, and judges what came of it with `judge`. A refusal is `MALFORMED`. */
export function judged<T>(read: () => T, judge: (value: T) => void): Verdict {
  const result = outcome(read, "MALFORMED");
  if (result.verdict === "accepted") judge(result.value);
  return result.verdict;
}

/** Whether the bytes are the same. */
export function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
