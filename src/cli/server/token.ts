/** `token generate`. */
import { AgentService } from "../../gen/spire/api/server/agent/v1/agent.ts";
import { type CommandRun, integer, text, UsageError } from "../command.ts";
import { outputFormat, print } from "../output.ts";
import { adminDeadline, call } from "../rpc-client.ts";
import { idFromText } from "../wire.ts";
import { withServer } from "./admin.ts";

const DEFAULT_TTL_SECONDS = 600;

export const run: CommandRun = async (options, context) => {
  outputFormat(options);
  const spiffeId = text(options, "spiffeID");
  const ttl = integer(options, "ttl") ?? DEFAULT_TTL_SECONDS;
  if (ttl < 1 || ttl > 2 ** 31 - 1) throw new UsageError("-ttl takes a whole number of seconds, at least 1");
  const agentId = spiffeId === "" ? undefined : idFromText("spiffeID", spiffeId);
  const token = await withServer(options, context, (client) =>
    call(client, AgentService.createJoinToken, { ttl, token: "", agentId }, adminDeadline(context)),
  );
  print(options, context, token, () => {
    context.out(`Token: ${token.value}\n`);
    if (spiffeId === "") context.out("Warning: Missing SPIFFE ID.\n");
  });
  return 0;
};
