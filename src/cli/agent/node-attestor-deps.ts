/** What the agent's halves of node attestors are made with. */
import type { AgentConfig } from "../../config/agent-config.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import type { NativeAddon } from "../../lib/native.ts";

/** The same for all; each takes what it needs. */
export interface NodeAttestorDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly native: NativeAddon;
  readonly config: Pick<AgentConfig, "dataDir" | "joinToken">;
}
