/** Makes the agent's `join_token` attestor. */
import { JoinTokenAgentAttestor } from "../../attestors/join-token/agent.ts";
import { JOIN_TOKEN } from "../../attestors/join-token/wire.ts";
import type { AgentNodeAttestor } from "../../attestors/node.ts";
import { AgentError } from "../../lib/errors.ts";
import type { NodeAttestorDeps } from "./node-attestor-deps.ts";

export function make({ config }: Pick<NodeAttestorDeps, "config">): AgentNodeAttestor {
  if (config.joinToken !== undefined) return new JoinTokenAgentAttestor(config.joinToken);
  // Only an agent that must attest needs one: with a stored SVID there is nothing to prove.
  return {
    name: JOIN_TOKEN,
    begin: async () => {
      throw new AgentError(
        "INVALID_ARGUMENT",
        "this node has not joined yet and there is no join token: give one with -joinToken, -joinTokenFile or join_token",
      );
    },
  };
}
