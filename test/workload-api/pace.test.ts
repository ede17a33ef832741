import { expect, test } from "vitest";
import { Pace } from "../../src/workload-api/pace.ts";

test("fifty at once, then ten a second", () => {
  const pace = new Pace(0);
  for (let i = 0; i < 50; i++) expect(pace.take(0)).toBe(0);
  expect(pace.take(0)).toBe(100);
  expect(pace.take(100)).toBe(100);
  expect(pace.take(1_100)).toBe(0);
});

test("rest does not save up more than fifty", () => {
  const pace = new Pace(0);
  for (let i = 0; i < 50; i++) expect(pace.take(1_000_000)).toBe(0);
  expect(pace.take(1_000_000)).toBe(100);
});
