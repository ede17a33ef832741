/** `agent purge`: evicts agents whose SVID expired long ago and which can attest again. */

import { parseDuration } from "../../config/duration.ts";
import { AgentService } from "../../gen/spire/api/server/agent/v1/agent.ts";
import type { Agent } from "../../gen/spire/api/types/agent.ts";
import { type CommandRun, flag, text, UsageError } from "../command.ts";
import { outputFormat, print } from "../output.ts";
import { adminDeadline, call, RpcError } from "../rpc-client.ts";
import { goTime, idText } from "../wire.ts";
import { withServer } from "./admin.ts";
import { listAgents } from "./agents.ts";

const DEFAULT_EXPIRED_FOR = "720h";

interface Outcome {
  readonly agentId: string;
  readonly deleted: boolean;
  readonly error?: string;
}

export const run: CommandRun = async (options, context) => {
  outputFormat(options);
  const dryRun = flag(options, "dryRun");
  const expiredForMs = parseDuration(text(options, "expiredFor", DEFAULT_EXPIRED_FOR));
  if (expiredForMs === undefined) throw new UsageError('-expiredFor takes a duration such as "720h"');
  const before = `${goTime(context.clock.now() - expiredForMs).replace(" UTC", "")} +00`;
  const expired = await listAgents(options, context, {
    byAttestationType: "",
    bySelectorMatch: undefined,
    byBanned: false,
    byCanReattest: true,
    byExpiresBefore: before,
  });
  const outcomes = dryRun ? expired.map((agent) => outcome(agent, false)) : await evictAll(expired);
  print(options, context, { expiredAgents: outcomes }, () => {
    if (expired.length === 0) {
      context.out("No agents to purge.\n");
      return;
    }
    context.out(`Found ${expired.length} expired ${expired.length === 1 ? "agent" : "agents"}\n\n\n`);
    context.out(dryRun ? "Agents that can be purged:\n" : "Agents purged:\n");
    for (const { agentId, error } of outcomes) {
      if (error === undefined) context.out(`SPIFFE ID         : ${agentId}\n`);
    }
    for (const { agentId, error } of outcomes) {
      if (error !== undefined) context.err(`Failed to purge ${agentId}: ${error}\n`);
    }
  });
  return outcomes.some(({ error }) => error !== undefined) ? 1 : 0;

  function evictAll(agents: readonly Agent[]): Promise<Outcome[]> {
    return withServer(options, context, async (client) => {
      const results: Outcome[] = [];
      for (const agent of agents) {
        try {
          await call(client, AgentService.deleteAgent, { id: agent.id }, adminDeadline(context));
          results.push(outcome(agent, true));
        } catch (error) {
          if (!(error instanceof RpcError)) throw error;
          results.push({ ...outcome(agent, false), error: error.details });
        }
      }
      return results;
    });
  }
};

function outcome(agent: Agent, deleted: boolean): Outcome {
  return { agentId: idText(agent.id), deleted };
}
