/** Says to an operator that a TTL cannot cover the outage budget, and which would. */
import { coverKept, ttlThatCovers } from "../spiffe/outage-cover.ts";
import { formatDuration } from "./duration.ts";

/**
 * Begins with the TTL; absent where it covers the budget. Judged as at agents that renew at half of the life, for not
 * all are ours. Milliseconds.
 */
export function uncoveredText(ttlMs: number, budgetMs: number): string | undefined {
  const kept = coverKept(ttlMs, 0);
  if (kept >= budgetMs) return undefined;
  return (
    `${formatDuration(ttlMs)} does not cover outage_budget (${formatDuration(budgetMs)}): as little as ` +
    `${formatDuration(Math.floor(kept / 1_000) * 1_000)} is left when the server goes away; ${formatDuration(ttlThatCovers(budgetMs))} covers it`
  );
}
