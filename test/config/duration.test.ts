import { describe, expect, test } from "vitest";
import { formatDuration, parseDuration } from "../../src/config/duration.ts";

describe("parseDuration", () => {
  test.each([
    ["0", 0],
    ["+5s", 5_000],
    ["-1.5h", -5_400_000],
    ["1h30m", 5_400_000],
    ["300ms", 300],
    ["168h", 604_800_000],
    [".5s", 500],
    ["1.s", 1_000],
    ["2h45m30.5s", 9_930_500],
    ["1000us", 1],
    ["1000µs", 1],
    ["1000μs", 1],
    ["1000000ns", 1],
  ])("%s", (text, expected) => {
    expect(parseDuration(text)).toBeCloseTo(expected, 9);
  });

  test.each([
    "",
    "5",
    "s",
    "-",
    "+",
    "1d",
    "1h 30m",
    "1H",
    " 1h",
    "1h ",
    "1e3s",
    "1,5s",
    "--1s",
    ".s",
    "9999999h",
    "1hm",
  ])("refuses %j", (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });
});

test.each([
  [0, "0s"],
  [604_800_000, "168h"],
  [5_400_000, "1h30m"],
  [90_500, "1m30s500ms"],
  [300, "300ms"],
  [-5_000, "-5s"],
])("formatDuration(%d) is %s", (ms, expected) => {
  expect(formatDuration(ms)).toBe(expected);
  expect(parseDuration(expected)).toBe(ms);
});
