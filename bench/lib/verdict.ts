/** Compares measures with their targets. */
import type { Growth, Measure, Target, Values } from "./scenario.ts";

/** What one measure came to. A column is absent where nothing was measured. */
export interface Outcome {
  readonly ours: number | undefined;
  readonly peer: number | undefined;
  /** Ours by SPIRE's. */
  readonly ratio: number | undefined;
  /** `undefined`: there is no target, or nothing to compare with. */
  readonly met: boolean | undefined;
}

/** Compares the columns' values with the measure's target. */
export function judge(measure: Measure, ours: number | undefined, peer: number | undefined): Outcome {
  const ratio = ours === undefined || peer === undefined || peer === 0 ? undefined : ours / peer;
  const { target } = measure;
  const subject = target?.of === "ratio" ? ratio : ours;
  const met = target === undefined || subject === undefined ? undefined : within(subject, target);
  return { ours, peer, ratio, met };
}

function within(
  value: number,
  { atMost = Number.POSITIVE_INFINITY, atLeast = Number.NEGATIVE_INFINITY }: Target,
): boolean {
  return value <= atMost && value >= atLeast;
}

/** A target in words: `≤ 0.5 ×`, `≥ 3 ×`, `≤ 300 ms`. */
export function targetText({ target, unit }: Measure): string {
  if (target === undefined) return "";
  const sign = target.atMost === undefined ? "≥" : "≤";
  return `${sign} ${target.atMost ?? target.atLeast} ${target.of === "ratio" ? "×" : unit}`.trim();
}

/** A cost proportional to its cause has the exponent 1; what is more is noise. */
const PROPORTIONAL = 1.15;

/** How a cost grew. */
export interface Grown {
  /** Between each size and the next: 0 is constant, 1 proportional, 2 quadratic. */
  readonly exponents: readonly number[];
  /** Whether it grew no faster than its cause. */
  readonly met: boolean;
}

/** Compares how a cost grew with how its cause did; `undefined` where fewer than two points were measured. */
export function judgeGrowth({ points, floor }: Growth, values: Values): Grown | undefined {
  const measured = points.flatMap(({ size, key }) => {
    const cost = values[key];
    return cost === undefined ? [] : [{ size, cost: Math.max(cost, floor) }];
  });
  if (measured.length < 2) return undefined;
  const exponents = measured.slice(1).map((to, index) => {
    const from = measured[index] ?? to;
    return Math.log(to.cost / from.cost) / Math.log(to.size / from.size);
  });
  return { exponents, met: exponents.every((exponent) => exponent <= PROPORTIONAL) };
}
