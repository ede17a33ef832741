/** Log levels and the names by which operators know them. */

/** From silent to chatty. `panic` and `fatal` show nothing of what the programs log today. */
export type LogLevel = "panic" | "fatal" | "error" | "warn" | "info" | "debug" | "trace";

/** Every accepted name, in lower case: ours, and those of SPIRE's logger. */
export const LOG_LEVELS = {
  trace: "trace",
  debug: "debug",
  info: "info",
  warn: "warn",
  warning: "warn",
  error: "error",
  fatal: "fatal",
  panic: "panic",
} as const satisfies Readonly<Record<string, LogLevel>>;

/** The level of a name in any case, such as `INFO` or `Warning`; `undefined` for any other text. */
export function parseLogLevel(name: string): LogLevel | undefined {
  const key = name.toLowerCase();
  return Object.hasOwn(LOG_LEVELS, key) ? LOG_LEVELS[key as keyof typeof LOG_LEVELS] : undefined;
}

/** The level of a log, which can change while the program runs. */
export interface LevelSwitch {
  /** The level in force. */
  readonly level: LogLevel;
  /** Changes it for every logger that was named from the same root. */
  setLevel(level: LogLevel): void;
}
