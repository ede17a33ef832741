/** A log level that can be changed and changes nothing. */
import type { LevelSwitch, LogLevel } from "../../src/lib/log-level.ts";

export class FakeLevel implements LevelSwitch {
  level: LogLevel;

  constructor(level: LogLevel = "info") {
    this.level = level;
  }

  setLevel(level: LogLevel): void {
    this.level = level;
  }
}
