/** Builds what a scenario needs, and takes it down again also when building fails half way. */
import type { Prepared, Values } from "./scenario.ts";

/** Runs `build` with a stack for what it opens; it returns the round. */
export async function prepared(
  build: (stack: AsyncDisposableStack) => Promise<() => Promise<Values>>,
): Promise<Prepared> {
  await using stack = new AsyncDisposableStack();
  const round = await build(stack);
  const owned = stack.move();
  return { round, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Tries until it works, every `everyMs`; throws the last error after `timeoutMs`. */
export async function eventually<T>(work: () => Promise<T>, timeoutMs = 30_000, everyMs = 100): Promise<T> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (Date.now() > end) throw error;
      await pause(everyMs);
    }
  }
}

/** Waits. */
export function pause(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}
