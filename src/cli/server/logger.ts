/** The server's `logger` commands. */
import { LoggerService } from "../../gen/spire/api/server/logger/v1/logger.ts";
import { loggerRuns } from "../logger.ts";
import { withServer } from "./admin.ts";

/** What each command does. */
export const SERVER_LOGGER = loggerRuns(LoggerService, withServer);
