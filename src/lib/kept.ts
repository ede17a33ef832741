/** Keeps an answer for a while, so that those who ask again and again cost nothing. */
import type { Clock } from "./clock.ts";

/**
 * A function that gives what `make` made at most `forMs` ago, one making for all who ask meanwhile. A failure is told to
 * those who wait for it, and to nobody later.
 */
export function kept<T>(clock: Clock, forMs: number, make: () => Promise<T>): () => Promise<T> {
  let last: { readonly at: number; readonly made: Promise<T> } | undefined;
  return () => {
    const at = clock.monotonic();
    if (last !== undefined && at - last.at < forMs) return last.made;
    const fresh = { at, made: make() };
    last = fresh;
    fresh.made.catch(() => {
      if (last === fresh) last = undefined;
    });
    return fresh.made;
  };
}
