import { expect, test } from "vitest";
import { isExpired, rotateAt } from "../../src/spiffe/rotation.ts";

const hour = { notBefore: 0, notAfter: 3_600_000 };

test.each([
  [0, 1_980_000],
  [0.5, 1_800_000],
  [1, 1_620_000],
])("with random %d an SVID of one hour is renewed at %i ms", (random, expected) => {
  expect(rotateAt(hour, () => random)).toBeCloseTo(expected, 3);
});

test("an SVID ends at its notAfter, not after it", () => {
  expect(isExpired(hour, 3_599_999)).toBe(false);
  expect(isExpired(hour, 3_600_000)).toBe(true);
});
