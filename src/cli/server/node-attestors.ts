/** The server's node attestors: how each is configured, and how its half is made. One line for each. */
import { JOIN_TOKEN_SERVER_PLUGIN } from "../../attestors/join-token/config.ts";
import { JoinTokenServerAttestor } from "../../attestors/join-token/server.ts";
import type { ServerNodeAttestor } from "../../attestors/node.ts";
import { TPM_SERVER_PLUGIN } from "../../attestors/tpm/config.ts";
import type { Plugin } from "../../config/plugins.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import type { Random } from "../../lib/random.ts";
import type { TrustDomain } from "../../spiffe/id.ts";

/** What the halves are made with. */
export interface NodeAttestorDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly trustDomain: TrustDomain;
}

/** Makes a configured attestor. */
export interface NodeAttestorChoice {
  readonly name: string;
  /** What the plugin's own keys say. */
  readonly options: unknown;
  make(deps: NodeAttestorDeps): Promise<ServerNodeAttestor>;
}

/** All that a configuration may name. The code of a half is loaded when it is made. */
export const SERVER_NODE_ATTESTORS: readonly Plugin<NodeAttestorChoice>[] = [
  entry(JOIN_TOKEN_SERVER_PLUGIN, async (_options, { trustDomain }) => new JoinTokenServerAttestor(trustDomain)),
  entry(TPM_SERVER_PLUGIN, async (options, deps) => (await import("./tpm.ts")).makeTpmAttestor(options, deps)),
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

function entry<Options>(
  plugin: Plugin<Options>,
  make: (options: Options, deps: NodeAttestorDeps) => Promise<ServerNodeAttestor>,
): Plugin<NodeAttestorChoice> {
  const { name } = plugin;
  return {
    ...plugin,
    build: (data, report) => {
      const options = plugin.build(data, report);
      return options === undefined ? undefined : { name, options, make: (deps) => make(options, deps) };
    },
  };
}
