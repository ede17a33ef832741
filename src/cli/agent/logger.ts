/** The agent's `logger` commands. */
import { LoggerService } from "../../gen/spire/api/agent/logger/v1/logger.ts";
import { loggerRuns } from "../logger.ts";
import { withAdmin } from "./admin.ts";

/** What each command does. */
export const AGENT_LOGGER = loggerRuns(LoggerService, withAdmin);
