import { expect, test } from "vitest";
import { parseLogLevel } from "../../src/lib/log-level.ts";

test.each([
  ["WARN", "warn"],
  ["WARNING", "warn"],
  ["Debug", "debug"],
  ["panic", "panic"],
  ["trace", "trace"],
  ["loud", undefined],
  ["", undefined],
  ["constructor", undefined],
])("%s is %s", (name, expected) => {
  expect(parseLogLevel(name)).toBe(expected);
});
