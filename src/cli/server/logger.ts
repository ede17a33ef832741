/** `logger get`, `set` and `reset`. */
import type { MethodDefinition } from "@grpc/grpc-js";
import { LoggerService } from "../../gen/spire/api/server/logger/v1/logger.ts";
import { type Logger, LogLevel } from "../../gen/spire/api/types/logger.ts";
import { parseLogLevel } from "../../lib/log-level.ts";
import { type CliContext, type CommandRun, type OptionValues, required, UsageError } from "../command.ts";
import { outputFormat, print } from "../output.ts";
import { call } from "../rpc-client.ts";
import { deadline, withServer } from "./admin.ts";

type LevelName = keyof typeof LogLevel;

/** `logger get`. */
export const get: CommandRun = (options, context) =>
  ask(options, context, "error fetching logger", LoggerService.getLogger, {});

/** `logger set`. */
export const set: CommandRun = (options, context) => {
  const given = required(options, "level");
  const level = parseLogLevel(given);
  if (level === undefined) throw new UsageError(`-level: the value "${given}" is not a valid setting`);
  const newLevel = LogLevel[level.toUpperCase() as Uppercase<typeof level>];
  return ask(options, context, "failed to set log level", LoggerService.setLogLevel, { newLevel });
};

/** `logger reset`. */
export const reset: CommandRun = (options, context) =>
  ask(options, context, "failed to reset logger", LoggerService.resetLogLevel, {});

async function ask<Request>(
  options: OptionValues,
  context: CliContext,
  failure: string,
  method: MethodDefinition<Request, Logger>,
  request: Request,
): Promise<number> {
  outputFormat(options);
  let logger: Logger;
  try {
    logger = await withServer(options, context, (client) => call(client, method, request, deadline(context)));
  } catch (error) {
    throw new Error(failure, { cause: error });
  }
  const [current, launch] = [nameOf(logger.currentLevel), nameOf(logger.launchLevel)];
  print(options, context, { currentLevel: current, launchLevel: launch }, () =>
    context.out(`Logger Level : ${word(current)}\nLaunch Level : ${word(launch)}\n\n`),
  );
  return 0;
}

function nameOf(number: LogLevel): LevelName {
  const name = (Object.keys(LogLevel) as LevelName[]).find((each) => LogLevel[each] === number);
  if (name === undefined || name === "UNSPECIFIED") throw new Error(`the server named no log level (${number})`);
  return name;
}

/** As SPIRE's logger spells it. */
function word(name: LevelName): string {
  return name === "WARN" ? "warning" : name.toLowerCase();
}
