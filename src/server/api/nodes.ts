/** `holdfast.server.v1.Nodes`: what attestations told of nodes beside their selectors. */
import { NodesService } from "../../gen/holdfast/server/v1/nodes.ts";
import { publicError } from "../../lib/errors.ts";
import type { AgentAdminDeps } from "./agent.ts";
import { attempt, parseInput } from "./failure.ts";
import { type NamedMethod, unaryMethod } from "./method.ts";
import { agentIdFromMessage } from "./wire.ts";

/** The service's methods. */
export function nodeMethods(deps: Pick<AgentAdminDeps, "trustDomain" | "datastore">): readonly NamedMethod[] {
  return [
    unaryMethod(NodesService.getNodeFacts, async ({ id }, context) => {
      const agentId = parseInput("invalid agent ID", () => agentIdFromMessage(deps.trustDomain, id));
      context.audit({ spiffe_id: agentId });
      const node = await attempt("failed to fetch agent", () => deps.datastore.nodes.get(agentId));
      if (node === undefined) throw publicError("NOT_FOUND", "agent not found");
      return { facts: { ...node.facts } };
    }),
  ];
}
