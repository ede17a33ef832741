/** How long to wait after a call to the server failed: decided by what went wrong. */
import { backoffDelay } from "../lib/backoff.ts";
import { type ErrorCode, errorCode, findAgentError } from "../lib/errors.ts";
import { retryAfterMs } from "./server-client-errors.ts";

/** The server did not answer: a try costs it next to nothing, and it may be back any moment. */
const DISCONNECTED: ReadonlySet<ErrorCode> = new Set(["UNAVAILABLE", "DEADLINE_EXCEEDED", "UNTRUSTED"]);

/** Whether the call failed on the way, so that another connection may do better. */
export function isDisconnected(error: unknown): boolean {
  return DISCONNECTED.has(errorCode(error));
}

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;

/**
 * Milliseconds to wait after `failures` failures in a row. A server that is away is tried within five seconds, at
 * random moments, so that many agents do not return as one. A refusal changes only when an operator acts. Other
 * errors back off as SPIRE's do, from `intervalMs` to 48 times that or 8 minutes. The server's own hint is a minimum.
 */
export function retryDelay(error: unknown, failures: number, intervalMs: number, random: () => number): number {
  const hint = retryAfterMs(error);
  return Math.max(schedule(error, failures, intervalMs, random), hint === 0 ? 0 : hint * (1 + random()));
}

function schedule(error: unknown, failures: number, intervalMs: number, random: () => number): number {
  if (isDisconnected(error)) {
    return backoffDelay({ initialMs: SECOND_MS, maxMs: 5 * SECOND_MS, jitter: "full" }, failures, random);
  }
  const recovery = findAgentError(error)?.recovery;
  if (recovery === "reattest" || recovery === "stop-serving") {
    return backoffDelay({ initialMs: 5 * SECOND_MS, maxMs: MINUTE_MS }, failures, random);
  }
  return backoffDelay({ initialMs: intervalMs, maxMs: Math.min(8 * MINUTE_MS, 48 * intervalMs) }, failures, random);
}
