/** Leaves the demo running: prints how to talk to it, and waits for Ctrl-C. */
import { join } from "node:path";
import { PROGRAMS, type Site } from "../lib/programs.ts";
import type { Interpreters } from "./workload.ts";

/** What is running. */
export interface Running {
  readonly site: Site;
  readonly client: Interpreters;
  readonly agentId: string;
  readonly uid: number;
  /** How the demo went. */
  readonly summary: string;
}

/** Prints and waits. */
export async function leaveRunning({ site, client, agentId, uid, summary }: Running): Promise<void> {
  console.log(`
${summary} It is running. In another terminal:

  # the workload's identity, by a stock client
  PYTHONPATH=${client.env.PYTHONPATH} ${client.registered} ${join(import.meta.dirname, "client.py")} fetch ${site.agentSocket}

  # what is registered, and who joined
  ${PROGRAMS.server} entry show -socketPath ${site.serverSocket}
  ${PROGRAMS.server} agent list -socketPath ${site.serverSocket}

  # an identity for any program of this user
  ${PROGRAMS.server} entry create -socketPath ${site.serverSocket} -parentID ${agentId} \\
    -spiffeID spiffe://${site.trustDomain}/mine -selector unix:uid:${uid}
  ${PROGRAMS.agent} api fetch x509 -socketPath ${site.agentSocket}

Logs: ${join(site.folder, "server.log")}, ${join(site.folder, "agent.log")}
Ctrl-C ends it and removes the folder.`);
  await new Promise<void>((resolve) => {
    // Signal handlers alone do not keep Node running.
    const hold = setInterval(() => {}, 2 ** 30);
    const stop = (): void => {
      clearInterval(hold);
      resolve();
    };
    process.once("SIGINT", stop);
    process.once("SIGTERM", stop);
  });
}
