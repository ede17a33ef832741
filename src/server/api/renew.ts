/** `RenewAgent` and `PostStatus`: what an attested agent says of itself, and its next SVID. */
import { AgentService, type RenewAgentRequest } from "../../gen/spire/api/server/agent/v1/agent.ts";
import type { X509SVID } from "../../gen/spire/api/types/x509svid.ts";
import type { Clock } from "../../lib/clock.ts";
import { publicError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import { agentDenied, judgeAgent } from "../authz-agent.ts";
import type { DataStore } from "../datastore/datastore.ts";
import type { IssuedSvid, X509Issuer } from "../ports.ts";
import { Refused } from "../refused.ts";
import { callingAgent, type RpcContext } from "../rpc-context.ts";
import { readCsr } from "./csr.ts";
import { attempt } from "./failure.ts";
import { type NamedMethod, unaryMethod } from "./method.ts";
import { svidToMessage } from "./wire.ts";

/** What the methods need. */
export interface RenewDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly datastore: Pick<DataStore, "nodes" | "transaction">;
  readonly issuer: X509Issuer;
}

const MAX_VERSION_BYTES = 255;
const CSR_WORDS = { missing: "missing CSR", malformed: "failed to parse CSR", badSignature: "invalid CSR signature" };

/** The methods that agents call about themselves. */
export function agentSelfMethods(deps: RenewDeps): readonly NamedMethod[] {
  return [
    unaryMethod(AgentService.renewAgent, async (request, context, signal) => {
      await context.rateLimit(1, signal);
      return { svid: await renew(deps, request, context) };
    }),

    unaryMethod(AgentService.postStatus, async ({ agentVersion }, context, signal) => {
      await context.rateLimit(1, signal);
      if (Buffer.byteLength(agentVersion) > MAX_VERSION_BYTES) {
        throw publicError("INVALID_ARGUMENT", `agent version is too long (max ${MAX_VERSION_BYTES} characters)`);
      }
      const { agentId, node } = callingAgent(context);
      context.audit({ spiffe_id: agentId, agent_version: agentVersion });
      if (agentVersion === "" || agentVersion === node.agentVersion) return {};
      const found = await attempt("failed to update agent", () =>
        deps.datastore.nodes.update(agentId, { agentVersion }),
      );
      if (!found) throw publicError("NOT_FOUND", "agent not found");
      return {};
    }),
  ];
}

async function renew(deps: RenewDeps, { params }: RenewAgentRequest, context: RpcContext): Promise<X509SVID> {
  const { agentId, node } = callingAgent(context);
  if (node.canReattest) {
    const message = "agent must reattest instead of renew";
    throw new Refused("PERMISSION_DENIED", message, { reason: "AGENT_MUST_REATTEST" });
  }
  if (params === undefined) throw publicError("INVALID_ARGUMENT", "params cannot be nil");
  const { spki } = await readCsr(params.csr, CSR_WORDS);
  const issued = await attempt("failed to sign X509 SVID", () =>
    deps.issuer.issueAgentSvid({ spiffeId: agentId, spki }),
  );
  await setPending(deps, context, issued);
  deps.log.info("Agent SVID renewed", { spiffe_id: agentId, serial_num: issued.serial });
  return svidToMessage(agentId, issued);
}

/** Waits on the row for its first use. Whoever was banned, evicted or replaced while we signed gets nothing. */
async function setPending(deps: RenewDeps, context: RpcContext, issued: IssuedSvid): Promise<void> {
  const { caller, method } = context;
  const { agentId } = callingAgent(context);
  const svid = caller.kind === "tls" ? caller.svid : undefined;
  if (svid === undefined) throw new Error("an agent called without an SVID");
  await attempt("failed to update agent", () =>
    deps.datastore.transaction(async ({ nodes }) => {
      const verdict = judgeAgent(svid, await nodes.get(agentId), deps.clock.now());
      if (verdict.state === "refused") throw agentDenied(method, verdict.reason);
      await nodes.update(agentId, {
        pendingSerial: issued.serial,
        pendingExpiresAt: Math.floor(issued.notAfter / 1000),
      });
    }),
  );
}
