/** When an SVID that was just issued should be replaced: arithmetic only. */
import { budgetLeft } from "../spiffe/outage-cover.ts";
import { type Lifetime, rotateAt } from "../spiffe/rotation.ts";

/** What makes a renewal earlier than the half life. Milliseconds. */
export interface RenewalOptions {
  /** SPIRE's `availability_target`: so much life is kept where at least twelve hours remain beside it. */
  readonly availabilityTargetMs?: number;
  /** `outage_budget`: so much life is kept wherever the lifetime allows; absent or 0 for none. */
  readonly outageBudgetMs?: number;
}

/** The availability target counts only if this much of the lifetime is left beside it, as SPIRE has it. */
const TARGET_GRACE_MS = 12 * 3_600_000;
const TARGET_JITTER_MS = 10 * 60_000;
/** A server whose CA is about to end issues ever shorter SVIDs; they must not be asked for without a pause. */
const SHORTEST_MS = 1_000;

/**
 * Half of what is left, with jitter, or earlier to keep what the options ask for. The half is counted from `now`: an SVID
 * is dated back a little, and a very short one would otherwise be due when it arrives.
 *
 * Our clock may differ from that of the server, for which the SVID begins now: one that lies in our future is renewed
 * half a lifetime from now, before it ends for others; of one that lies in our past, the half of its own dates is given.
 */
export function renewalTime(life: Lifetime, now: number, random: () => number, options: RenewalOptions = {}): number {
  const { notBefore, notAfter } = life;
  const span = notAfter - notBefore;
  if (now < notBefore) return renewalTime({ notBefore: now, notAfter: now + span }, now, random, options);
  const isPast = now >= notAfter;
  const half = rotateAt(isPast ? life : { notBefore: now, notAfter }, random);
  const { availabilityTargetMs: target = Number.POSITIVE_INFINITY, outageBudgetMs: budget = 0 } = options;
  const kept = notAfter - budgetLeft(notAfter - now, budget, random());
  const early =
    span - target > TARGET_GRACE_MS ? notAfter - target - TARGET_JITTER_MS * random() : Number.POSITIVE_INFINITY;
  return Math.max(Math.min(half, early, kept), isPast ? notBefore : now + SHORTEST_MS);
}
