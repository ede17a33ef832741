/** The server's node attestors: how each is configured, and how its half is made. One line for each. */
import { JOIN_TOKEN_SERVER_PLUGIN } from "../../attestors/join-token/config.ts";
import { JoinTokenServerAttestor } from "../../attestors/join-token/server.ts";
import type { ServerNodeAttestor } from "../../attestors/node.ts";
import { TPM_SERVER_PLUGIN } from "../../attestors/tpm/config.ts";
import type { Plugin } from "../../config/plugins.ts";
import { type NodeAttestorChoice as Choice, choosing } from "../node-attestor-choice.ts";
import type { NodeAttestorDeps } from "./node-attestor-deps.ts";

/** A configured attestor that is not made yet. */
export type NodeAttestorChoice = Choice<NodeAttestorDeps, ServerNodeAttestor>;

/** All that a configuration may name. The code of a half is loaded when it is made. */
export const SERVER_NODE_ATTESTORS: readonly Plugin<NodeAttestorChoice>[] = [
  choosing(JOIN_TOKEN_SERVER_PLUGIN, async (_options, { trustDomain }) => new JoinTokenServerAttestor(trustDomain)),
  choosing(TPM_SERVER_PLUGIN, async (options, deps) => (await import("./tpm.ts")).makeTpmAttestor(options, deps)),
];

/** The configured attestors; join tokens work also when they are not named, as in SPIRE. */
export async function makeNodeAttestors(
  choices: readonly NodeAttestorChoice[],
  deps: NodeAttestorDeps,
): Promise<readonly ServerNodeAttestor[]> {
  const made = await Promise.all(choices.map((choice) => choice.make(deps)));
  const tokens = new JoinTokenServerAttestor(deps.trustDomain);
  return made.some(({ name }) => name === tokens.name) ? made : [tokens, ...made];
}
