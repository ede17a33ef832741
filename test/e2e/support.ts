/** A server and an agent in a folder of their own, which goes when the test ends. */
import { chmodSync, copyFileSync, linkSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fetchIds } from "../../scripts/lib/local-rpc.ts";
import {
  admin,
  Daemon,
  enroll,
  makeSite,
  type Outcome,
  PROGRAMS,
  run,
  type Site,
  type SiteOptions,
  startAgent,
  startServer,
} from "../../scripts/lib/programs.ts";

export { admin, Daemon, enroll, makeSite, type Outcome, PROGRAMS, run, type Site, startAgent, startServer };

/** The Node that the programs run on. */
export const NODE = realpathSync(process.execPath);
const AGENT_SCRIPT = resolve(import.meta.dirname, "../../dist/cli/holdfast-agent.js");
/** The user that owns nothing. */
export const NOBODY = 65534;
/** Our own user. */
export const SELF = process.getuid?.() ?? 0;

/** A temporary folder that others may enter. */
export class Folder implements Disposable {
  readonly path: string;

  constructor() {
    this.path = mkdtempSync(join(tmpdir(), "hf-"));
    chmodSync(this.path, 0o755);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Programs to choose from, so that one test serves both sides of an interoperability pair. */
export interface Programs {
  readonly server: string;
  readonly agent: string;
}

/** A joined pair of programs. */
export class Pair implements AsyncDisposable {
  readonly site: Site;
  readonly agentId: string;
  readonly programs: Programs;
  server: Daemon;
  agent: Daemon;
  readonly #folder: Folder;

  private constructor(folder: Folder, site: Site, agentId: string, programs: Programs, server: Daemon, agent: Daemon) {
    this.#folder = folder;
    this.site = site;
    this.agentId = agentId;
    this.programs = programs;
    this.server = server;
    this.agent = agent;
  }

  static async start(options: SiteOptions = {}, programs: Programs = PROGRAMS): Promise<Pair> {
    const folder = new Folder();
    let server: Daemon | undefined;
    try {
      const site = await makeSite(folder.path, options);
      server = await startServer(site, programs.server);
      const { token, agentId } = await enroll(site, programs.server);
      const agent = await startAgent(site, ["-joinToken", token], programs.agent);
      return new Pair(folder, site, agentId, programs, server, agent);
    } catch (error) {
      await server?.stop("SIGKILL");
      folder[Symbol.dispose]();
      throw error;
    }
  }

  /** `entry create` under the agent; resolves to the entry's ID. */
  async createEntry(spiffeId: string, selectors: readonly string[], more: readonly string[] = []): Promise<string> {
    const printed = await admin(
      this.site,
      [
        "entry",
        "create",
        "-parentID",
        this.agentId,
        "-spiffeID",
        spiffeId,
        ...selectors.flatMap((selector) => ["-selector", selector]),
        ...more,
      ],
      this.programs.server,
    );
    const id = /^Entry ID\s*: (\S+)$/m.exec(printed)?.[1];
    if (id === undefined) throw new Error(`no entry ID in:\n${printed}`);
    return id;
  }

  /** Creates an entry for the time of `work`, and waits until the agent has forgotten it. */
  async withEntry(
    spiffeId: string,
    selectors: readonly string[],
    more: readonly string[],
    work: (entryId: string) => Promise<void>,
  ): Promise<void> {
    const entryId = await this.createEntry(spiffeId, selectors, more);
    try {
      await this.untilServed(spiffeId);
      await work(entryId);
    } finally {
      await run(this.programs.server, ["entry", "delete", "-entryID", entryId, "-socketPath", this.site.serverSocket]);
      await this.untilDenied();
    }
  }

  async deleteEntry(entryId: string): Promise<void> {
    await admin(this.site, ["entry", "delete", "-entryID", entryId], this.programs.server);
  }

  /** Waits until this process has the identity. */
  async untilServed(spiffeId: string): Promise<void> {
    await this.agent.until(spiffeId, async () => {
      const answer = await fetchIds(this.site.agentSocket);
      return typeof answer !== "number" && answer.includes(spiffeId);
    });
  }

  /** Waits until this process has no identity. */
  async untilDenied(): Promise<void> {
    await this.agent.until("refusal", async () => (await fetchIds(this.site.agentSocket)) === PERMISSION_DENIED);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.agent.stop("SIGKILL");
    await this.server.stop("SIGKILL");
    this.#folder[Symbol.dispose]();
  }
}

const PERMISSION_DENIED = 7;

/** Who fetches. */
export interface FetchOptions {
  /** The Node binary to run, whose path is the caller's. */
  readonly node?: string;
  readonly uid?: number;
  readonly args?: readonly string[];
}

/** `api fetch x509 -output json` as some user with some binary. */
export function fetchX509(
  site: Site,
  { node = NODE, uid, args = ["-output", "json"] }: FetchOptions = {},
): Promise<Outcome> {
  return run(
    node,
    [AGENT_SCRIPT, "api", "fetch", "x509", "-socketPath", site.agentSocket, ...args],
    uid === undefined ? {} : { uid },
  );
}

/** A copy of Node at another path. */
export function copyOfNode(folder: string, name = "node-copy"): string {
  const path = join(folder, name);
  try {
    linkSync(NODE, path);
  } catch {
    copyFileSync(NODE, path);
  }
  return path;
}

/** The SPIFFE IDs that a fetch brought. */
export function idsOf(outcome: Outcome): string[] {
  const response = JSON.parse(outcome.stdout) as { svids: { spiffe_id: string }[] };
  return response.svids.map((svid) => svid.spiffe_id);
}

/** Whether the Workload API said that the caller has no identity. */
export function isDenied(outcome: Outcome): boolean {
  return outcome.status === 1 && /PermissionDenied.*no identity issued/.test(outcome.stderr);
}
