/** `logger get`, `set` and `reset` of both programs. */
import type { Client, MethodDefinition } from "@grpc/grpc-js";
import { type Logger, LogLevel } from "../gen/spire/api/types/logger.ts";
import { parseLogLevel } from "../lib/log-level.ts";
import { type CliContext, type OptionValues, required, UsageError } from "./command.ts";
import type { LoggerRuns } from "./logger-commands.ts";
import { outputFormat, print } from "./output.ts";
import { adminDeadline, call } from "./rpc-client.ts";

type LevelName = keyof typeof LogLevel;

/** A program's Logger service. */
export interface LoggerMethods {
  readonly getLogger: MethodDefinition<object, Logger>;
  readonly setLogLevel: MethodDefinition<{ newLevel: LogLevel }, Logger>;
  readonly resetLogLevel: MethodDefinition<object, Logger>;
}

/** Opens a connection to a program's admin socket. */
export type WithAdmin = <T>(
  options: OptionValues,
  context: CliContext,
  use: (client: Client) => Promise<T>,
) => Promise<T>;

/** The commands of the program whose admin socket `withAdmin` finds. */
export function loggerRuns(service: LoggerMethods, withAdmin: WithAdmin): LoggerRuns {
  const ask = async <Request>(
    options: OptionValues,
    context: CliContext,
    failure: string,
    method: MethodDefinition<Request, Logger>,
    request: Request,
  ): Promise<number> => {
    outputFormat(options);
    let logger: Logger;
    try {
      logger = await withAdmin(options, context, (client) => call(client, method, request, adminDeadline(context)));
    } catch (error) {
      throw new Error(failure, { cause: error });
    }
    printLogger(logger, options, context);
    return 0;
  };
  return {
    get: (options, context) => ask(options, context, "error fetching logger", service.getLogger, {}),
    set: (options, context) =>
      ask(options, context, "failed to set log level", service.setLogLevel, { newLevel: givenLevel(options) }),
    reset: (options, context) => ask(options, context, "failed to reset logger", service.resetLogLevel, {}),
  };
}

function givenLevel(options: OptionValues): LogLevel {
  const given = required(options, "level");
  const level = parseLogLevel(given);
  if (level === undefined) throw new UsageError(`-level: the value "${given}" is not a valid setting`);
  return LogLevel[level.toUpperCase() as Uppercase<typeof level>];
}

function printLogger(logger: Logger, options: OptionValues, context: CliContext): void {
  const [current, launch] = [nameOf(logger.currentLevel), nameOf(logger.launchLevel)];
  print(options, context, { currentLevel: current, launchLevel: launch }, () =>
    context.out(`Logger Level : ${word(current)}\nLaunch Level : ${word(launch)}\n\n`),
  );
}

function nameOf(number: LogLevel): LevelName {
  const name = (Object.keys(LogLevel) as LevelName[]).find((each) => LogLevel[each] === number);
  if (name === undefined || name === "UNSPECIFIED") throw new Error(`the peer named no log level (${number})`);
  return name;
}

/** As SPIRE's logger spells it. */
function word(name: LevelName): string {
  return name === "WARN" ? "warning" : name.toLowerCase();
}
