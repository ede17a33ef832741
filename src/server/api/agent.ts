/** `agent.v1.Agent` for administrators: count, list, get, evict and ban agents. */
import { AgentService } from "../../gen/spire/api/server/agent/v1/agent.ts";
import type { SPIFFEID } from "../../gen/spire/api/types/spiffeid.ts";
import { publicError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import type { SpiffeId, TrustDomain } from "../../spiffe/id.ts";
import type { DataStore } from "../datastore/datastore.ts";
import { evict } from "../evict.ts";
import { attempt, parseInput } from "./failure.ts";
import { type NamedMethod, unaryMethod } from "./method.ts";
import { agentIdFromMessage } from "./wire.ts";
import { agentToMessage, nodeFilterFromMessage } from "./wire-agent.ts";

/** What the service needs. */
export interface AgentAdminDeps {
  readonly log: Logger;
  readonly trustDomain: TrustDomain;
  readonly datastore: Pick<DataStore, "nodes" | "entries" | "transaction">;
}

/** The administrative methods. */
export function agentAdminMethods(deps: AgentAdminDeps): readonly NamedMethod[] {
  const { nodes } = deps.datastore;
  const idOf = (message: SPIFFEID | undefined): SpiffeId =>
    parseInput("invalid agent ID", () => agentIdFromMessage(deps.trustDomain, message));

  return [
    unaryMethod(AgentService.countAgents, async ({ filter }) => {
      const conditions = nodeFilterFromMessage(filter);
      return { count: await attempt("failed to count agents", () => nodes.count(conditions)) };
    }),

    unaryMethod(AgentService.listAgents, async (request) => {
      const conditions = nodeFilterFromMessage(request.filter);
      const size = Math.max(0, request.pageSize);
      const page = await attempt("failed to list agents", () =>
        nodes.list(conditions, { size, token: size > 0 ? request.pageToken : "" }),
      );
      return {
        agents: page.items.map((node) => agentToMessage(node, request.outputMask)),
        nextPageToken: page.nextToken,
      };
    }),

    unaryMethod(AgentService.getAgent, async ({ id, outputMask }, context) => {
      const agentId = idOf(id);
      context.audit({ spiffe_id: agentId });
      const node = await attempt("failed to fetch agent", () => nodes.get(agentId));
      if (node === undefined) throw publicError("NOT_FOUND", "agent not found");
      return agentToMessage(node, outputMask);
    }),

    unaryMethod(AgentService.deleteAgent, async ({ id }, context) => {
      const agentId = idOf(id);
      context.audit({ spiffe_id: agentId });
      const deleted = await attempt("failed to remove agent", () =>
        deps.datastore.transaction((tx) => evict(tx, agentId)),
      );
      if (deleted === undefined) throw publicError("NOT_FOUND", "agent not found");
      deps.log.info("Agent deleted", { spiffe_id: agentId });
      return {};
    }),

    unaryMethod(AgentService.banAgent, async ({ id }, context) => {
      const agentId = idOf(id);
      context.audit({ spiffe_id: agentId });
      // Without a serial no SVID of the agent is current any more, and none can become it.
      const found = await attempt("failed to ban agent", () =>
        nodes.update(agentId, { serial: "", pendingSerial: "", pendingExpiresAt: 0 }),
      );
      if (!found) throw publicError("NOT_FOUND", "agent not found");
      deps.log.info("Agent banned", { spiffe_id: agentId });
      return {};
    }),
  ];
}
