/** The log level, changed and reset while a program runs. */
import { expect, test } from "vitest";
import { LevelControl, levelOf } from "../../src/lib/level-control.ts";
import type { LogLevel } from "../../src/lib/log-level.ts";

class Root {
  level: LogLevel = "info";
  setLevel(level: LogLevel): void {
    this.level = level;
  }
}

test("each number sets its level; a reset brings back the first", () => {
  const root = new Root();
  const levels = new LevelControl(root);
  expect(levels.numbers).toEqual({ currentLevel: 5, launchLevel: 5 });
  const seen = [1, 2, 3, 4, 5, 6, 7].map((number) => {
    levels.set(levelOf(number));
    expect(levels.numbers).toEqual({ currentLevel: number, launchLevel: 5 });
    return root.level;
  });
  expect(seen).toEqual(["panic", "fatal", "error", "warn", "info", "debug", "trace"]);
  levels.reset();
  expect(root.level).toBe("info");
  expect(levels.numbers).toEqual({ currentLevel: 5, launchLevel: 5 });
});

test("other numbers are no levels", () => {
  expect(() => levelOf(0)).toThrow("newLevel value cannot be LogLevel_UNSPECIFIED");
  for (const number of [-1, 8, 1.5, Number.NaN]) expect(() => levelOf(number)).toThrow("unsupported log level");
});
