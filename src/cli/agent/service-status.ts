/** How the agent is, in the one line that `systemctl status` shows. */
import type { Agent } from "../../agent/agent.ts";
import type { AgentFacts } from "../../agent-admin/ports.ts";
import type { Clock } from "../../lib/clock.ts";
import type { ServiceManager } from "../service-manager.ts";

/** Milliseconds between two looks. */
const LOOK_MS = 2_000;

/** Tells the service manager, if there is one, until the signal aborts. */
export async function tellStatus(
  manager: Pick<ServiceManager, "present" | "status">,
  agent: Pick<Agent<never>, "adminSource">,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  while (manager.present) {
    manager.status(serviceStatus(agent.adminSource.facts()));
    await clock.sleep(LOOK_MS, signal);
  }
}

/** What is served, whether the server is there, and what is wrong, by its topics. */
export function serviceStatus(
  facts: Pick<AgentFacts, "serving" | "x509Svids" | "connected" | "lastSyncAt" | "problems">,
): string {
  const { serving, x509Svids: count, connected, lastSyncAt, problems } = facts;
  const served = serving ? `Serving ${count} ${count === 1 ? "identity" : "identities"}` : "Not serving yet";
  const away =
    lastSyncAt === undefined
      ? "server not reached yet"
      : `server away, last sync ${new Date(lastSyncAt).toISOString().slice(0, 19)}Z`;
  const server = connected ? "server reached" : away;
  const wrong = problems.size === 0 ? "" : `; problems: ${[...problems.keys()].sort().join(", ")}`;
  return `${served}; ${server}${wrong}`;
}
