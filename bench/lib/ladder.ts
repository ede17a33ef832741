/** The measures of a scenario that climbs through sizes. */
import type { Growth, Measure } from "./scenario.ts";

/** A cost measured at each size. */
export interface Rung {
  readonly key: string;
  readonly label: string;
  readonly unit: string;
  readonly floor: number;
}

/** The key of a cost at a size. */
export function keyAt(key: string, size: number): string {
  return `${key}-${size}`;
}

/** A measure for each cost and size, and what is to be judged of them. `what` names the sizes. */
export function ladder(
  sizes: readonly number[],
  what: string,
  rungs: readonly Rung[],
): { readonly measures: readonly Measure[]; readonly growth: readonly Growth[] } {
  return {
    measures: rungs.flatMap(({ key, label, unit }) =>
      sizes.map((size) => ({
        key: keyAt(key, size),
        label: `${label}, ${what}: ${size.toLocaleString("en-US")}`,
        unit,
      })),
    ),
    growth: rungs.map(({ key, label, floor }) => ({
      label,
      floor,
      points: sizes.map((size) => ({ size, key: keyAt(key, size) })),
    })),
  };
}
