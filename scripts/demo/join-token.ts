/** The node joins by a one-time token. */
import { admin, type Daemon, enroll, makeSite, type Site, type SiteOptions, startAgent } from "../lib/programs.ts";
import type { Joining } from "./joining.ts";
import { step, verify } from "./steps.ts";

export class JoinByToken implements Joining {
  async prepare(): Promise<void> {}

  makeSite(folder: string, options: SiteOptions): Promise<Site> {
    return makeSite(folder, options);
  }

  async join(site: Site): Promise<{ agent: Daemon; agentId: string }> {
    let joined: { agent: Daemon; agentId: string } | undefined;
    await step("Join a node: a one-time token, mutual TLS, an SVID for the agent itself", async (say) => {
      const { token, agentId } = await enroll(site);
      say("holdfast-server token generate → holdfast-agent run -joinToken …");
      const agent = await startAgent(site, ["-joinToken", token]);
      joined = { agent, agentId };
      verify((await admin(site, ["agent", "list"])).includes(agentId), "the server does not list the agent");
      return `attested as ${agentId}`;
    });
    if (joined === undefined) throw new Error("no agent");
    return joined;
  }

  async afterwards(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}
}
