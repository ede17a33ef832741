/** The log level of a running program as administrators change it: numbered as on the wire, with a way back. */
import { publicError } from "./errors.ts";
import type { LevelSwitch, LogLevel } from "./log-level.ts";

/** `spire.api.types.LogLevel`, without "unspecified". */
const NUMBERS = { panic: 1, fatal: 2, error: 3, warn: 4, info: 5, debug: 6, trace: 7 } as const satisfies Record<
  LogLevel,
  number
>;

type LevelNumber = (typeof NUMBERS)[LogLevel];

/** One for each program, made before anything changes its level. */
export class LevelControl {
  readonly #root: LevelSwitch;
  /** The level at the start. */
  readonly launch: LogLevel;

  constructor(root: LevelSwitch) {
    this.#root = root;
    this.launch = root.level;
  }

  /** The level in force. */
  get current(): LogLevel {
    return this.#root.level;
  }

  /** The level in force, and the one at the start. */
  get numbers(): { readonly currentLevel: LevelNumber; readonly launchLevel: LevelNumber } {
    return { currentLevel: NUMBERS[this.current], launchLevel: NUMBERS[this.launch] };
  }

  /** Changes the level of every line from now on. */
  set(level: LogLevel): void {
    this.#root.setLevel(level);
  }

  /** Back to the level at the start. */
  reset(): void {
    this.set(this.launch);
  }
}

/** The level that a caller asks for; any number may come. Throws `INVALID_ARGUMENT`. */
export function levelOf(number: number): LogLevel {
  if (number === 0) throw publicError("INVALID_ARGUMENT", "newLevel value cannot be LogLevel_UNSPECIFIED");
  const level = (Object.keys(NUMBERS) as LogLevel[]).find((name) => NUMBERS[name] === number);
  if (level === undefined) throw publicError("INVALID_ARGUMENT", "unsupported log level");
  return level;
}
