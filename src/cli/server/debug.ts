/** `debug getinfo`. */
import { DebugService, type GetInfoResponse } from "../../gen/spire/api/server/debug/v1/debug.ts";
import type { CommandRun } from "../command.ts";
import { chainText, goDuration } from "../debug-text.ts";
import { outputFormat, print } from "../output.ts";
import { adminDeadline, call } from "../rpc-client.ts";
import { withServer } from "./admin.ts";

/** `debug getinfo`. */
export const getInfo: CommandRun = async (options, context) => {
  outputFormat(options);
  const info = await withServer(options, context, (client) =>
    call(client, DebugService.getInfo, {}, adminDeadline(context)),
  );
  print(options, context, info, () => context.out(infoText(info)));
  return 0;
};

function infoText(info: GetInfoResponse): string {
  return `Server Debug Info:
  Uptime:                  ${goDuration(info.uptime)}
  Registered Agents:       ${info.agentsCount}
  Registration Entries:    ${info.entriesCount}
  Federated Bundles:       ${info.federatedBundlesCount}
${chainText(info.svidChain)}`;
}
