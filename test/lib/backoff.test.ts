import { expect, test } from "vitest";
import { backoffDelay } from "../../src/lib/backoff.ts";

const schedule = { initialMs: 1000, maxMs: 5000 };

test.each([
  [1, 0.5, 1000],
  [2, 0.5, 1500],
  [3, 0.5, 2250],
  [100, 0.5, 5000],
  [1, 0, 900],
  [1, 0.999999999, 1100],
])("failure %i with random %d waits about %i ms", (failures, random, expected) => {
  expect(backoffDelay(schedule, failures, () => random)).toBeCloseTo(expected, 3);
});

test("full jitter spreads over the whole wait and is never zero", () => {
  const full = { ...schedule, jitter: "full" as const };
  expect(backoffDelay(full, 3, () => 0)).toBe(1);
  expect(backoffDelay(full, 3, () => 0.5)).toBe(1125);
});
