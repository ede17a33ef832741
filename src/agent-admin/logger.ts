/** `spire.api.agent.logger.v1`: the log level, seen and changed while the agent runs. */
import { GetLoggerRequest, ResetLogLevelRequest, SetLogLevelRequest } from "../gen/spire/api/agent/logger/v1/logger.ts";
import { Logger as LoggerMessage } from "../gen/spire/api/types/logger.ts";
import { type LevelControl, levelOf } from "../lib/level-control.ts";
import type { Logger } from "../lib/log.ts";
import type { Method } from "../lib/rpc/transport.ts";
import { type RequestCodec, type TypedOptions, unary } from "../lib/rpc/typed.ts";

/** Full name of the service. */
export const LOGGER_SERVICE = "spire.api.agent.logger.v1.Logger";

/** What the service is made of. */
export interface LoggerDeps {
  readonly levels: LevelControl;
  readonly log: Logger;
}

/** `GetLogger`, `SetLogLevel` and `ResetLogLevel`; each answers with the levels that hold then. */
export function loggerMethods<P>(
  { levels, log }: LoggerDeps,
  options: TypedOptions,
): [path: string, method: Method<P>][] {
  const method = <Request>(
    name: string,
    request: RequestCodec<Request>,
    act: (request: Request) => void,
  ): [string, Method<P>] => [
    `/${LOGGER_SERVICE}/${name}`,
    unary<P, Request, LoggerMessage>(
      { request, response: LoggerMessage },
      async (message) => {
        act(message);
        return levels.numbers;
      },
      options,
    ),
  ];
  return [
    method("GetLogger", GetLoggerRequest, () => {}),
    method("SetLogLevel", SetLogLevelRequest, ({ newLevel }) => {
      const level = levelOf(newLevel);
      // Before the change, which may silence it.
      log.info("The log level is changed", { new_log_level: level });
      levels.set(level);
    }),
    method("ResetLogLevel", ResetLogLevelRequest, () => {
      levels.reset();
      log.info("The log level is what it was at the start", { launch_log_level: levels.launch });
    }),
  ];
}
