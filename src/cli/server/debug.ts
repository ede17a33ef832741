/** `debug getinfo`. */
import { DebugService, type GetInfoResponse } from "../../gen/spire/api/server/debug/v1/debug.ts";
import { visible } from "../../lib/visible.ts";
import type { CommandRun } from "../command.ts";
import { outputFormat, print } from "../output.ts";
import { call } from "../rpc-client.ts";
import { idText } from "../wire.ts";
import { deadline, withServer } from "./admin.ts";

/** `debug getinfo`. */
export const getInfo: CommandRun = async (options, context) => {
  outputFormat(options);
  const info = await withServer(options, context, (client) =>
    call(client, DebugService.getInfo, {}, deadline(context)),
  );
  print(options, context, info, () => context.out(infoText(info)));
  return 0;
};

function infoText(info: GetInfoResponse): string {
  const chain = info.svidChain.map(
    ({ id, subject, expiresAt }, index) =>
      `    [${index}] SPIFFE ID:  ${id === undefined ? "(none)" : visible(idText(id))}
        Subject:    ${visible(subject)}
        Expires At: ${rfc3339(expiresAt)}
`,
  );
  return `Server Debug Info:
  Uptime:                  ${goDuration(info.uptime)}
  Registered Agents:       ${info.agentsCount}
  Registration Entries:    ${info.entriesCount}
  Federated Bundles:       ${info.federatedBundlesCount}
${chain.length > 0 ? `  SVID Chain:\n${chain.join("")}` : ""}`;
}

/** Unix seconds as `2026-01-02T15:04:05Z`. */
function rfc3339(unixSeconds: bigint): string {
  return `${new Date(Number(unixSeconds) * 1000).toISOString().slice(0, 19)}Z`;
}

/** Whole seconds as Go prints a duration: `1h2m3s`. */
function goDuration(seconds: number): string {
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return `${hours > 0 ? `${hours}h` : ""}${seconds >= 60 ? `${minutes}m` : ""}${seconds % 60}s`;
}
