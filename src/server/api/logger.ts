/** `logger.v1.Logger`: administrators read and change how much the server logs, until it ends. */
import { LoggerService } from "../../gen/spire/api/server/logger/v1/logger.ts";
import { LogLevel as LevelNumber, type Logger as LoggerMessage } from "../../gen/spire/api/types/logger.ts";
import { publicError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import type { LevelSwitch, LogLevel } from "../../lib/log-level.ts";
import { type NamedMethod, unaryMethod } from "./method.ts";

/** What the service needs. */
export interface LoggerServiceDeps {
  readonly log: Logger;
  /** Its level when the service is made is the launch level. */
  readonly logLevel: LevelSwitch;
}

const NUMBERS = {
  panic: LevelNumber.PANIC,
  fatal: LevelNumber.FATAL,
  error: LevelNumber.ERROR,
  warn: LevelNumber.WARN,
  info: LevelNumber.INFO,
  debug: LevelNumber.DEBUG,
  trace: LevelNumber.TRACE,
} as const satisfies Readonly<Record<LogLevel, LevelNumber>>;

/** Levels at which the change itself is told. */
const TALKATIVE: ReadonlySet<LogLevel> = new Set(["info", "debug", "trace"]);

/** The service's methods. */
export function loggerMethods({ log, logLevel }: LoggerServiceDeps): readonly NamedMethod[] {
  const launch = logLevel.level;
  const state = (): LoggerMessage => ({ currentLevel: NUMBERS[logLevel.level], launchLevel: NUMBERS[launch] });
  const change = (level: LogLevel): LoggerMessage => {
    const previous = logLevel.level;
    const note = (): void => log.info("Changing the log level", { old_log_level: previous, new_log_level: level });
    // While the more talkative of the two is in force, so that a change to silence is told, too.
    if (TALKATIVE.has(previous)) note();
    logLevel.setLevel(level);
    if (!TALKATIVE.has(previous)) note();
    return state();
  };
  return [
    unaryMethod(LoggerService.getLogger, async () => state()),

    unaryMethod(LoggerService.setLogLevel, async ({ newLevel }, context) => {
      if (newLevel === LevelNumber.UNSPECIFIED) {
        throw publicError("INVALID_ARGUMENT", "newLevel value cannot be LogLevel_UNSPECIFIED");
      }
      const level = levelOf(newLevel);
      if (level === undefined) throw publicError("INVALID_ARGUMENT", "unsupported log level");
      context.audit({ new_log_level: level });
      return change(level);
    }),

    unaryMethod(LoggerService.resetLogLevel, async (_request, context) => {
      context.audit({ launch_log_level: launch });
      return change(launch);
    }),
  ];
}

function levelOf(number: number): LogLevel | undefined {
  return (Object.keys(NUMBERS) as LogLevel[]).find((level) => NUMBERS[level] === number);
}
