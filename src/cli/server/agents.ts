/** `agent list`, `show`, `count`, `evict` and `ban`. */
import type { Client } from "@grpc/grpc-js";
import { NodesService } from "../../gen/holdfast/server/v1/nodes.ts";
import {
  AgentService,
  type ListAgentsRequest_Filter,
  type ListAgentsResponse,
} from "../../gen/spire/api/server/agent/v1/agent.ts";
import type { Agent } from "../../gen/spire/api/types/agent.ts";
import type { SPIFFEID } from "../../gen/spire/api/types/spiffeid.ts";
import { GrpcCode } from "../../lib/grpc-status.ts";
import type { CliContext, CommandRun, OptionValues } from "../command.ts";
import { required } from "../command.ts";
import { outputFormat, print } from "../output.ts";
import { adminDeadline, call, RpcError } from "../rpc-client.ts";
import { idFromText } from "../wire.ts";
import { withServer } from "./admin.ts";
import { agentFilter } from "./agent-filter.ts";
import { agentText, factsText } from "./agent-print.ts";

const PAGE_SIZE = 500;

/** `agent list`. */
export const list: CommandRun = async (options, context) => {
  outputFormat(options);
  const agents = await listAgents(options, context, agentFilter(options));
  const response: ListAgentsResponse = { agents, nextPageToken: "" };
  print(options, context, response, () => {
    if (agents.length === 0) {
      context.out("No attested agents found\n");
      return;
    }
    context.out(`Found ${agents.length} attested ${agents.length === 1 ? "agent" : "agents"}:\n\n`);
    for (const agent of agents) context.out(agentText(agent, { selectors: false }));
  });
  return 0;
};

/** `agent show`. */
export const show: CommandRun = async (options, context) => {
  outputFormat(options);
  const id = idFromText("spiffeID", required(options, "spiffeID"));
  const { agent, facts } = await withServer(options, context, async (client) => ({
    agent: await call(client, AgentService.getAgent, { id, outputMask: undefined }, adminDeadline(context)),
    facts: await nodeFacts(client, id, context),
  }));
  const isEmpty = Object.keys(facts).length === 0;
  print(options, context, isEmpty ? agent : { ...agent, facts }, () =>
    context.out(
      `Found an attested agent given its SPIFFE ID\n\n${agentText(agent, { selectors: true })}${factsText(facts)}`,
    ),
  );
  return 0;
};

/** What the attestation told beside the selectors; SPIRE's servers have nothing of the kind. */
async function nodeFacts(client: Client, id: SPIFFEID, context: CliContext): Promise<Readonly<Record<string, string>>> {
  try {
    return (await call(client, NodesService.getNodeFacts, { id }, adminDeadline(context))).facts;
  } catch (error) {
    if (error instanceof RpcError && error.code === GrpcCode.UNIMPLEMENTED) return {};
    throw error;
  }
}

/** `agent count`. */
export const count: CommandRun = async (options, context) => {
  outputFormat(options);
  const response = await withServer(options, context, (client) =>
    call(client, AgentService.countAgents, { filter: agentFilter(options) }, adminDeadline(context)),
  );
  print(options, context, response, () =>
    context.out(`${response.count} attested ${response.count === 1 ? "agent" : "agents"}\n`),
  );
  return 0;
};

/** `agent evict`. */
export const evict: CommandRun = async (options, context) => {
  outputFormat(options);
  const id = idFromText("spiffeID", required(options, "spiffeID"));
  const response = await withServer(options, context, (client) =>
    call(client, AgentService.deleteAgent, { id }, adminDeadline(context)),
  );
  print(options, context, response, () => context.out("Agent evicted successfully\n"));
  return 0;
};

/** `agent ban`. */
export const ban: CommandRun = async (options, context) => {
  outputFormat(options);
  const id = idFromText("spiffeID", required(options, "spiffeID"));
  const response = await withServer(options, context, (client) =>
    call(client, AgentService.banAgent, { id }, adminDeadline(context)),
  );
  print(options, context, response, () => context.out("Agent banned successfully\n"));
  return 0;
};

/** All agents that the filter lets through, read in pages. */
export async function listAgents(
  options: OptionValues,
  context: CliContext,
  filter: ListAgentsRequest_Filter,
): Promise<Agent[]> {
  return withServer(options, context, async (client) => {
    const agents: Agent[] = [];
    let pageToken = "";
    do {
      const page = await call(
        client,
        AgentService.listAgents,
        { filter, outputMask: undefined, pageSize: PAGE_SIZE, pageToken },
        adminDeadline(context),
      );
      agents.push(...page.agents);
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    return agents;
  });
}
