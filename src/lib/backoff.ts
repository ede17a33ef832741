/** Retry schedules, pure: how long to wait after the n-th failure in a row. */

/** A schedule of exponential growth with jitter. */
export interface BackoffSchedule {
  /** First wait, milliseconds. */
  readonly initialMs: number;
  /** Longest wait, milliseconds. */
  readonly maxMs: number;
  /** Growth per failure; SPIRE's is 1.5. */
  readonly multiplier?: number;
  /** `full`: uniform in (0, wait]; a number: plus or minus that fraction. Default 0.1. */
  readonly jitter?: "full" | number;
}

/**
 * The wait in milliseconds after `failures` failures in a row (1 for the first).
 * `random` returns a number in [0, 1).
 */
export function backoffDelay(schedule: BackoffSchedule, failures: number, random: () => number): number {
  const { initialMs, maxMs, multiplier = 1.5, jitter = 0.1 } = schedule;
  const exponent = Math.min(Math.max(0, failures - 1), 64);
  const wait = Math.min(maxMs, initialMs * multiplier ** exponent);
  if (jitter === "full") return Math.max(1, Math.ceil(wait * random()));
  return wait * (1 - jitter + 2 * jitter * random());
}
