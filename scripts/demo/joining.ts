/** How the demo's node joins: by its TPM, or by a token. Each brings the steps that only it has. */
import type { Daemon, Site, SiteOptions } from "../lib/programs.ts";

/** What the steps of a way to join share with the rest of the demo. */
export interface Stage {
  readonly folder: string;
  /** The server, which the demo stops and starts again. */
  server(): Daemon;
  agent(): Daemon;
  /** Whether a new process of the workload is served. */
  isServed(): Promise<boolean>;
}

/** One way to join. */
export interface Joining extends AsyncDisposable {
  /** Before the server starts: the steps that make ready what its configuration speaks of. */
  prepare(folder: string): Promise<void>;
  /** The site's configuration. */
  makeSite(folder: string, options: SiteOptions): Promise<Site>;
  /** Starts the agent and shows how it proves itself; returns the agent and its ID. */
  join(site: Site): Promise<{ readonly agent: Daemon; readonly agentId: string }>;
  /** What can be shown once a workload is served. */
  afterwards(site: Site, stage: Stage): Promise<void>;
}
