/** The agent's node attestors: how each is configured, and how its half is made. One line for each. */
import { JOIN_TOKEN_AGENT_PLUGIN } from "../../attestors/join-token/config.ts";
import type { AgentNodeAttestor } from "../../attestors/node.ts";
import { TPM_AGENT_PLUGIN } from "../../attestors/tpm/config.ts";
import type { Plugin } from "../../config/plugins.ts";
import { type NodeAttestorChoice as Choice, choosing } from "../node-attestor-choice.ts";
import type { NodeAttestorDeps } from "./node-attestor-deps.ts";

/** A configured attestor that is not made yet. */
export type NodeAttestorChoice = Choice<NodeAttestorDeps, AgentNodeAttestor>;

/** All that a configuration may name. The code of a half is loaded when it is made. */
export const AGENT_NODE_ATTESTORS: readonly Plugin<NodeAttestorChoice>[] = [
  choosing(JOIN_TOKEN_AGENT_PLUGIN, async (_options, deps) => (await import("./join-token.ts")).make(deps)),
  choosing(TPM_AGENT_PLUGIN, async (options, deps) => (await import("./tpm.ts")).makeTpmAttestor(options, deps)),
];
