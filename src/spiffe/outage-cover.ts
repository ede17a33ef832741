/** How long SVIDs outlast a server that is away: arithmetic only. Times in milliseconds. */
import { LEAST_SHARE_LEFT } from "./rotation.ts";

const MINUTE_MS = 60_000;
/** No SVID is renewed before this share of its life is spent, whatever the budget: it would keep the server busy. */
const LEAST_SHARE_SPENT = 0.1;
/** Time for the renewal itself, and over which renewals are spread. */
const LONGEST_MARGIN_MS = 5 * MINUTE_MS;
const MARGIN_SHARE = 0.02;

/**
 * How much of a life of `ttlMs` is left at the renewal that keeps `budgetMs` at all times; `random` in [0, 1) spreads
 * it. 0 where the life is not longer than the budget, or there is none: then nothing is gained by an early renewal.
 */
export function budgetLeft(ttlMs: number, budgetMs: number, random: number): number {
  if (budgetMs <= 0 || ttlMs <= budgetMs) return 0;
  const margin = Math.min(LONGEST_MARGIN_MS, MARGIN_SHARE * ttlMs);
  return Math.min((1 - LEAST_SHARE_SPENT) * ttlMs, budgetMs + margin * (1 + random));
}

/** The least life that SVIDs of `ttlMs` have left, at any moment, at an agent that keeps to `budgetMs` (0: to half of the life). */
export function coverKept(ttlMs: number, budgetMs: number): number {
  return Math.floor(Math.max(LEAST_SHARE_LEFT * ttlMs, budgetLeft(ttlMs, budgetMs, 0)));
}

/** By how much SVIDs of `ttlMs` fall short of the budget at worst; 0 where they keep it. */
export function coverShortfall(ttlMs: number, budgetMs: number): number {
  return Math.max(0, budgetMs - coverKept(ttlMs, budgetMs));
}

/** The shortest life, in whole minutes, of which every agent keeps `budgetMs`, also one that renews at half of it. */
export function ttlThatCovers(budgetMs: number): number {
  return Math.ceil(budgetMs / LEAST_SHARE_LEFT / MINUTE_MS) * MINUTE_MS;
}

/** Of the budget: the life of a JWT-SVID that is held in reserve, what is left of it at its renewal, and what at the latest. */
const RESERVE = { life: 1.25, renewal: 1.1, latest: 1.05 };

/** How long a JWT-SVID lives that is held in reserve for an outage of `budgetMs`. */
export function reserveLife(budgetMs: number): number {
  return RESERVE.life * budgetMs;
}

/**
 * How much of a reserve's life of `ttlMs` is left when it is renewed: less than 1.1 times the budget that it was made
 * for, spread by `random` in [0, 1), and never as little as the budget.
 */
export function reserveLeft(ttlMs: number, random: number): number {
  const { life, renewal, latest } = RESERVE;
  return (ttlMs / life) * (renewal - (renewal - latest) * random);
}
