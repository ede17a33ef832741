/** `logger.v1.Logger`: administrators read and change how much the server logs, until it ends. */
import { LoggerService } from "../../gen/spire/api/server/logger/v1/logger.ts";
import type { Logger as LoggerMessage } from "../../gen/spire/api/types/logger.ts";
import { LevelControl, levelOf } from "../../lib/level-control.ts";
import type { Logger } from "../../lib/log.ts";
import type { LevelSwitch, LogLevel } from "../../lib/log-level.ts";
import { type NamedMethod, unaryMethod } from "./method.ts";

/** What the service needs. */
export interface LoggerServiceDeps {
  readonly log: Logger;
  /** Its level when the service is made is the launch level. */
  readonly logLevel: LevelSwitch;
}

/** Levels at which the change itself is told. */
const TALKATIVE: ReadonlySet<LogLevel> = new Set(["info", "debug", "trace"]);

/** The service's methods. */
export function loggerMethods({ log, logLevel }: LoggerServiceDeps): readonly NamedMethod[] {
  const levels = new LevelControl(logLevel);
  const change = (level: LogLevel): LoggerMessage => {
    const previous = levels.current;
    const note = (): void => log.info("Changing the log level", { old_log_level: previous, new_log_level: level });
    // While the more talkative of the two is in force, so that a change to silence is told, too.
    if (TALKATIVE.has(previous)) note();
    levels.set(level);
    if (!TALKATIVE.has(previous)) note();
    return levels.numbers;
  };
  return [
    unaryMethod(LoggerService.getLogger, async () => levels.numbers),

    unaryMethod(LoggerService.setLogLevel, async ({ newLevel }, context) => {
      const level = levelOf(newLevel);
      context.audit({ new_log_level: level });
      return change(level);
    }),

    unaryMethod(LoggerService.resetLogLevel, async (_request, context) => {
      context.audit({ launch_log_level: levels.launch });
      return change(levels.launch);
    }),
  ];
}
