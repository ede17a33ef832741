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

/** One of so many inputs, always the same: for what would take too long with all of them. */
export function chosen(input: Uint8Array, of: number): boolean {
  let sum = 0;
  for (const byte of input) sum = (Math.imul(sum, 31) + byte) | 0;
  return (sum >>> 8) % of === 0;
}

/** As `outcome`, of a reader that takes its time. */
export async function outcomeLater<T>(read: () => Promise<T>, ...codes: readonly ErrorCode[]): Promise<Outcome<T>> {
  try {
    return { verdict: "accepted", value: await read() };
  } catch (error) {
    return outcome(
      () => {
        throw error;
      },
      ...codes,
    );
  }
}
