/** `holdfast-agent validate`. */
import type { CommandRun } from "../command.ts";
import { loadAgentConfigFile } from "./config-file.ts";

export const run: CommandRun = async (options, context) => {
  const { warnings } = loadAgentConfigFile(options, context);
  for (const warning of warnings) context.err(`Warning: ${warning}\n`);
  context.out("SPIRE agent configuration file is valid.\n");
  return 0;
};
