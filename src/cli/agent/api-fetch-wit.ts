/** `api fetch wit`: tokens bound to a key that the agent made, and these keys where they are asked for. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { SpiffeWorkloadAPIService, type WITSVIDResponse } from "../../gen/workload/workload.ts";
import { visible } from "../../lib/visible.ts";
import { type CliContext, type CommandRun, flag, text } from "../command.ts";
import { outputFormat } from "../output.ts";
import { protoJson } from "../proto-json.ts";
import { replaceFile } from "../replace-file.ts";
import { firstMessage } from "./first-message.ts";
import { timeoutMs, withAgent } from "./workload.ts";

export const run: CommandRun = async (options, context) => {
  const format = outputFormat(options);
  const deadline = context.clock.now() + timeoutMs(options);
  const request = { spiffeId: text(options, "spiffeID") };
  const response = await withAgent(options, context, (client) =>
    firstMessage(client, SpiffeWorkloadAPIService.fetchWitsvid, request, deadline),
  );
  if (format === "json") context.out(`${protoJson(response)}\n`);
  else if (!flag(options, "silent")) context.out(witText(response));
  const folder = text(options, "write");
  if (folder !== "") writeWits(response, folder, context);
  return 0;
};

/** As tokens are printed by `api fetch jwt`. */
function witText({ svids }: WITSVIDResponse): string {
  const tokens = svids.flatMap(({ spiffeId, witSvid, hint }) => [
    `token(${spiffeId}):\n\t${visible(witSvid)}\n`,
    ...(hint === "" ? [] : [`hint(${spiffeId}):\n\t${visible(hint)}\n`]),
  ]);
  return tokens.join("");
}

/** Readable by their owner only, each replaced in one step. */
function writeWits({ svids }: WITSVIDResponse, folder: string, context: CliContext): void {
  mkdirSync(folder, { recursive: true });
  const write = (what: string, name: string, content: string): void => {
    const path = join(folder, name);
    context.out(`Writing ${what} to file ${path}.\n`);
    replaceFile(path, content, 0o600);
  };
  for (const [index, { witSvid, witSvidKey }] of svids.entries()) {
    write(`WIT-SVID #${index}`, `wit_svid.${index}.token`, witSvid);
    write(`key #${index}`, `wit_svid.${index}.key`, witSvidKey);
  }
}
