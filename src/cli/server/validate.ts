/** `holdfast-server validate`. */
import type { CommandRun } from "../command.ts";
import { loadServerConfigFile } from "./config-file.ts";

export const run: CommandRun = async (options, context) => {
  const { warnings } = loadServerConfigFile(options, context);
  for (const warning of warnings) context.err(`Warning: ${warning}\n`);
  context.out("SPIRE server configuration file is valid.\n");
  return 0;
};
