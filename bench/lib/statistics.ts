/** Medians, quantiles and growth: the bench's arithmetic. */

/** The middle value; of an even number, the mean of the two in the middle. `NaN` of nothing. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return sorted.length % 2 === 1
    ? (sorted[Math.floor(middle)] ?? Number.NaN)
    : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
}

/** The least value that at least the share `q` (0..1) of all values do not exceed. `NaN` of nothing. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN;
}

/** What a set of latencies comes to, in the unit of the values. */
export interface Summary {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** Median, p99 and maximum. */
export function summarize(values: readonly number[]): Summary {
  return { count: values.length, p50: quantile(values, 0.5), p99: quantile(values, 0.99), max: quantile(values, 1) };
}

/** The value of each key, taken over rounds by `median`. Keys that a round lacks are left out of its count. */
export function medians(rounds: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const keys = new Set(rounds.flatMap((round) => Object.keys(round)));
  return Object.fromEntries(
    [...keys].map((key) => [key, median(rounds.flatMap((round) => (round[key] === undefined ? [] : [round[key]])))]),
  );
}
