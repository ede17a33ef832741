/** What the bench says of its numbers. */
import { describe, expect, test } from "vitest";
import { growthLines, number, score, table } from "../../bench/lib/report.ts";
import type { ScenarioResult } from "../../bench/lib/runner.ts";
import {
  atMost,
  type Measure,
  ratioAtLeast,
  ratioAtMost,
  type Scenario,
  type Values,
} from "../../bench/lib/scenario.ts";
import { judge, judgeGrowth, targetText } from "../../bench/lib/verdict.ts";
import { parseOptions } from "../../bench/options.ts";

function measure(target?: Measure["target"]): Measure {
  return { key: "k", label: "label", unit: "ms", ...(target === undefined ? {} : { target }) };
}

function result(measures: readonly Measure[], ours: Values | undefined, peer: Values | undefined): ScenarioResult {
  const scenario: Scenario = { name: "name", title: "title", measures, prepare: async () => undefined };
  return {
    scenario,
    columns: {
      ...(ours === undefined ? {} : { ours: { medians: ours, rounds: [ours] } }),
      ...(peer === undefined ? {} : { peer: { medians: peer, rounds: [peer] } }),
    },
    notes: ["a note"],
    failures: [],
  };
}

describe("a verdict", () => {
  test.each([
    ["ratio at its bound", ratioAtMost(0.5), 50, 100, true],
    ["ratio above", ratioAtMost(0.5), 51, 100, false],
    ["ratio that must be high", ratioAtLeast(3), 290, 100, false],
    ["value at its bound, whatever SPIRE has", atMost(50), 50, 1, true],
    ["value above", atMost(50), 50.1, 9_999, false],
    ["value without SPIRE", atMost(50), 50, undefined, true],
    ["ratio without SPIRE", ratioAtMost(0.5), 50, undefined, undefined],
    ["ratio to nothing", ratioAtMost(0.5), 50, 0, undefined],
    ["nothing of ours", atMost(50), undefined, 5, undefined],
    ["no target", undefined, 5, 5, undefined],
  ])("%s", (_name, target, ours, peer, met) => {
    expect(judge(measure(target), ours, peer).met).toBe(met);
  });

  test.each([
    [ratioAtMost(0.5), "≤ 0.5 ×"],
    [ratioAtLeast(3), "≥ 3 ×"],
    [atMost(300), "≤ 300 ms"],
    [undefined, ""],
  ])("target %j reads %j", (target, text) => {
    expect(targetText(measure(target))).toBe(text);
  });
});

describe("growth", () => {
  const growth = {
    label: "cost",
    floor: 1,
    points: [
      { size: 10, key: "a" },
      { size: 100, key: "b" },
      { size: 1_000, key: "c" },
    ],
  };

  test("a constant cost has exponent 0, a proportional one 1: both may be", () => {
    expect(judgeGrowth(growth, { a: 5, b: 5, c: 50 })).toEqual({ exponents: [0, 1], met: true });
  });

  test("a quadratic step is found, also when the rest is flat", () => {
    const grown = judgeGrowth(growth, { a: 5, b: 5, c: 500 });
    expect(grown?.met).toBe(false);
    expect(grown?.exponents[1]).toBeCloseTo(2);
  });

  test("below the floor everything is the same", () => {
    expect(judgeGrowth(growth, { a: 0, b: 0.001, c: 1 })).toEqual({ exponents: [0, 0], met: true });
  });

  test("needs two points", () => {
    expect(judgeGrowth(growth, { b: 5 })).toBeUndefined();
  });

  test("is a line of the report and counts as a target", () => {
    const grown = result([], { a: 5, b: 5, c: 500 }, undefined);
    const judged = { ...grown, scenario: { ...grown.scenario, growth: [growth] } };
    expect(growthLines(judged)).toEqual(["  growth of cost: exponents 0.00, 2.00: MISS, faster than its cause"]);
    expect(score([judged])).toEqual({ ok: 0, miss: ["name: growth of cost"] });
  });
});

describe("the table", () => {
  test("has both columns, the ratio, the target and the verdict", () => {
    const lines = table([result([measure(ratioAtMost(0.5))], { k: 30 }, { k: 100 })]).split("\n");
    expect(lines[0]).toMatch(/ours +SPIRE +ratio +target/);
    expect(lines).toContain("title [name]");
    expect(lines.find((line) => line.startsWith("  label"))).toMatch(/30 ms +100 ms +0\.3 × +≤ 0\.5 × +ok$/);
    expect(lines.at(-1)).toBe("  · a note");
  });

  test("shows a missing column as such and leaves out what neither has", () => {
    const text = table([result([measure(), { ...measure(), key: "other", label: "other" }], { k: 30 }, undefined)]);
    expect(text).toMatch(/label +30 ms +–/);
    expect(text).not.toContain("other");
  });

  test.each([
    [0, "0"],
    [0.00123, "0.001"],
    [0.98765, "0.988"],
    [12.345, "12.3"],
    [123.45, "123"],
    [12_345.6, "12,346"],
    [Number.NaN, "–"],
  ])("%d is printed as %s", (value, text) => {
    expect(number(value)).toBe(text);
  });
});

describe("options", () => {
  const names = ["connect", "connect-16", "growth-a", "growth-b"];

  test("a whole name means itself, a prefix all that begin so", () => {
    expect(parseOptions(["--only", "connect", "--only", "growth-"], names).only).toEqual([
      "connect",
      "growth-a",
      "growth-b",
    ]);
  });

  test("--quick is one round unless told otherwise", () => {
    expect(parseOptions([], names).rounds).toBe(3);
    expect(parseOptions(["--quick"], names).rounds).toBe(1);
    expect(parseOptions(["--quick", "--rounds", "2"], names).rounds).toBe(2);
  });

  test.each([
    [["--only", "nothing"], "no such scenario"],
    [["--rounds", "0"], "at least 1"],
    [["--rounds", "1.5"], "whole number"],
    [["--outage", "x"], "whole number"],
    [["--unknown"], "unknown"],
    [["extra"], "extra"],
  ])("%j is refused", (args, message) => {
    expect(() => parseOptions(args, names)).toThrow(new RegExp(message, "i"));
  });
});
