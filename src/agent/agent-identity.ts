/** The agent's own identity: what the server gave this node after attestation. */
import { AgentError } from "../lib/errors.ts";
import { isAgentId } from "../spiffe/id.ts";
import type { X509Svid } from "../spiffe/svid.ts";
import { acceptIssuedSvid, type IssuedSvidExpectation } from "./issued-svid.ts";

/** The agent SVID, and how the server wants it renewed. */
export interface AgentIdentity {
  readonly svid: X509Svid;
  /** True: renewed by attesting anew; false: by `RenewAgent`. */
  readonly reattestable: boolean;
}

/** The type of the agent's own keys, as SPIRE's agents have it. */
export const AGENT_KEY_TYPE = "ec-p256";

/** Accepts an SVID that names an agent. Throws `UNTRUSTED` or `MALFORMED`. */
export function acceptAgentSvid(expectation: IssuedSvidExpectation): X509Svid {
  const svid = acceptIssuedSvid(expectation);
  if (!isAgentId(svid.spiffeId)) {
    throw new AgentError("UNTRUSTED", `the server issued ${svid.spiffeId}, which names no agent`);
  }
  return svid;
}
