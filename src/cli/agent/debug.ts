/** `debug getinfo`. */
import { DebugService, type GetInfoResponse } from "../../gen/spire/api/agent/debug/v1/debug.ts";
import type { CommandRun } from "../command.ts";
import { chainText, goDuration, rfc3339 } from "../debug-text.ts";
import { outputFormat, print } from "../output.ts";
import { adminDeadline, call } from "../rpc-client.ts";
import { withAdmin } from "./admin.ts";

/** `debug getinfo`. */
export const getInfo: CommandRun = async (options, context) => {
  outputFormat(options);
  const info = await withAdmin(options, context, (client) =>
    call(client, DebugService.getInfo, {}, adminDeadline(context)),
  );
  print(options, context, info, () => context.out(infoText(info)));
  return 0;
};

function infoText(info: GetInfoResponse): string {
  return `Agent Debug Info:
  Uptime:                          ${goDuration(info.uptime)}
  Last Sync Success:               ${info.lastSyncSuccess === 0n ? "(never)" : rfc3339(info.lastSyncSuccess)}
  Cached X.509 SVIDs:              ${info.cachedX509SvidsCount}
  Cached JWT SVIDs:                ${info.cachedJwtSvidsCount}
  Cached SVID Store X.509 SVIDs:   ${info.cachedSvidstoreX509SvidsCount}
${chainText(info.svidChain)}`;
}
