/** The agent's node attestors: how each is configured, and how its half is made. One line for each. */
import { JOIN_TOKEN_AGENT_PLUGIN } from "../../attestors/join-token/config.ts";
import type { AgentNodeAttestor } from "../../attestors/node.ts";
import { TPM_AGENT_PLUGIN } from "../../attestors/tpm/config.ts";
import type { AgentConfig } from "../../config/agent-config.ts";
import type { Plugin } from "../../config/plugins.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import type { NativeAddon } from "../../lib/native.ts";
import { type NodeAttestorChoice as Choice, choosing } from "../node-attestor-choice.ts";

/** What the halves are made with. */
export interface NodeAttestorDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly native: NativeAddon;
  readonly config: Pick<AgentConfig, "dataDir" | "joinToken">;
}

/** A configured attestor that is not made yet. */
export type NodeAttestorChoice = Choice<NodeAttestorDeps, AgentNodeAttestor>;

/** All that a configuration may name. The code of a half is loaded when it is made. */
export const AGENT_NODE_ATTESTORS: readonly Plugin<NodeAttestorChoice>[] = [
  choosing(JOIN_TOKEN_AGENT_PLUGIN, async (_options, deps) => (await import("./join-token.ts")).make(deps)),
  choosing(TPM_AGENT_PLUGIN, async (options, deps) => (await import("./tpm.ts")).makeTpmAttestor(options, deps)),
];
