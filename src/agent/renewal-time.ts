/** When an SVID that was just issued should be replaced: arithmetic only. */
import { type Lifetime, rotateAt } from "../spiffe/rotation.ts";

/** The availability target counts only if this much of the lifetime is left beside it, as SPIRE has it. */
const TARGET_GRACE_MS = 12 * 3_600_000;
const TARGET_JITTER_MS = 10 * 60_000;
/** A server whose CA is about to end issues ever shorter SVIDs; they must not be asked for without a pause. */
const SHORTEST_MS = 1_000;

/**
 * Half of what is left, with jitter, or earlier to keep `availabilityTargetMs`. The half is counted from `now`: an SVID
 * is dated back a little, and a very short one would otherwise be due when it arrives.
 */
export function renewalTime(life: Lifetime, now: number, random: () => number, availabilityTargetMs?: number): number {
  const half = rotateAt({ notBefore: Math.max(life.notBefore, now), notAfter: life.notAfter }, random);
  const target = availabilityTargetMs ?? Number.POSITIVE_INFINITY;
  const early =
    life.notAfter - life.notBefore - target > TARGET_GRACE_MS
      ? life.notAfter - target - TARGET_JITTER_MS * random()
      : Number.POSITIVE_INFINITY;
  return Math.max(Math.min(half, early), now + SHORTEST_MS);
}
