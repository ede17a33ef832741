/** Judges an agent's SVID against the node's row: expired, evicted, banned, replaced, or current. */
import type { Clock } from "../lib/clock.ts";
import type { CallerSvid } from "./caller.ts";
import type { AttestedNode, DataStore } from "./datastore/datastore.ts";
import { type DeniedReason, Refused } from "./refused.ts";

/** What an SVID is to its node's row: the current one, the renewed one that was not used yet, or refused. */
export type AgentVerdict =
  | { readonly state: "current" | "pending"; readonly node: AttestedNode }
  | { readonly state: "refused"; readonly reason: DeniedReason };

/** What the judge needs. */
export interface AgentAuthorizationDeps {
  readonly clock: Clock;
  readonly datastore: Pick<DataStore, "nodes" | "transaction">;
}

const WHY: Readonly<Record<DeniedReason, string>> = {
  AGENT_EXPIRED: "the agent's SVID is expired",
  AGENT_NOT_ATTESTED: "the agent is not attested",
  AGENT_BANNED: "the agent is banned",
  AGENT_NOT_ACTIVE: "the agent's SVID is not the active one",
  AGENT_MUST_REATTEST: "the agent must attest anew",
};

/** Decides in the order that SPIRE's agents expect. A banned row has no serial, so it comes before any comparison. */
export function judgeAgent(svid: CallerSvid, node: AttestedNode | undefined, now: number): AgentVerdict {
  if (now > svid.notAfter) return { state: "refused", reason: "AGENT_EXPIRED" };
  if (node === undefined) return { state: "refused", reason: "AGENT_NOT_ATTESTED" };
  if (node.serial === "") return { state: "refused", reason: "AGENT_BANNED" };
  if (node.serial === svid.serial) return { state: "current", node };
  if (node.pendingSerial === svid.serial) return { state: "pending", node };
  return { state: "refused", reason: "AGENT_NOT_ACTIVE" };
}

/** Lets an agent in and returns its row, or throws `PERMISSION_DENIED` with the reason. */
export async function authorizeAgent(
  deps: AgentAuthorizationDeps,
  method: string,
  svid: CallerSvid,
): Promise<AttestedNode> {
  const verdict = judgeAgent(svid, await deps.datastore.nodes.get(svid.spiffeId), deps.clock.now());
  if (verdict.state === "pending") return await promote(deps, method, svid);
  if (verdict.state === "refused") throw agentDenied(method, verdict.reason);
  return verdict.node;
}

/**
 * Makes the renewed SVID the current one, by which the old one stops working. It reads the row again in the
 * transaction that writes it: a ban that came in between must not be undone.
 */
async function promote(deps: AgentAuthorizationDeps, method: string, svid: CallerSvid): Promise<AttestedNode> {
  return await deps.datastore.transaction(async (tx) => {
    const verdict = judgeAgent(svid, await tx.nodes.get(svid.spiffeId), deps.clock.now());
    if (verdict.state === "refused") throw agentDenied(method, verdict.reason);
    if (verdict.state === "current") return verdict.node;
    const change = {
      serial: verdict.node.pendingSerial,
      expiresAt: verdict.node.pendingExpiresAt,
      pendingSerial: "",
      pendingExpiresAt: 0,
    };
    await tx.nodes.update(svid.spiffeId, change);
    return { ...verdict.node, ...change };
  });
}

/** The refusal of an agent: worded as SPIRE words it, with the reason by which the agent knows what to do. */
export function agentDenied(method: string, reason: DeniedReason): Refused {
  return new Refused("PERMISSION_DENIED", `authorization denied for method ${method}: ${WHY[reason]}`, {
    publicMessage: `authorization denied for method ${method}`,
    reason,
  });
}
