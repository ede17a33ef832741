/** Names and points of the scenarios. */
import { expect, test } from "vitest";
import { ladder } from "../../bench/lib/ladder.ts";
import { SCENARIOS } from "../../bench/rows/all.ts";

test("a ladder has a measure for each cost and size, and a growth for each cost", () => {
  const { measures, growth } = ladder([1, 1_000], "entries", [
    { key: "a", label: "first", unit: "ms", floor: 1 },
    { key: "b", label: "second", unit: "MB", floor: 2 },
  ]);
  expect(measures.map(({ key, label, unit }) => [key, label, unit])).toEqual([
    ["a-1", "first, entries: 1", "ms"],
    ["a-1000", "first, entries: 1,000", "ms"],
    ["b-1", "second, entries: 1", "MB"],
    ["b-1000", "second, entries: 1,000", "MB"],
  ]);
  expect(growth[1]).toEqual({
    label: "second",
    floor: 2,
    points: [
      { size: 1, key: "b-1" },
      { size: 1_000, key: "b-1000" },
    ],
  });
});

test("scenarios and the measures of each have names of their own", () => {
  const names = SCENARIOS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const { measures } of SCENARIOS) {
    const keys = measures.map(({ key }) => key);
    expect(new Set(keys).size).toBe(keys.length);
  }
});
