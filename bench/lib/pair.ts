/** A server and an agent of one subject, running, with a workload beside them. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import {
  type Daemon,
  enroll,
  makeSite,
  type Site,
  type SiteOptions,
  startAgent,
  startServer,
} from "../../scripts/lib/programs.ts";
import type { SPIFFEID } from "../../src/gen/spire/api/types/spiffeid.ts";
import type { WorkloadOperations } from "../workload-client.ts";
import { Admin, idOf, type NewEntry } from "./admin.ts";
import type { Context } from "./scenario.ts";
import type { Subject } from "./subject.ts";
import { Worker } from "./worker.ts";

/** The caller that the bench's clients are. */
export const CALLER = `unix:uid:${process.getuid?.() ?? 0}`;
/** Entries a call that set the stage: few enough for every server. */
const A_CALL = 100;
/** A uid that no caller has, and those after it. */
const NOBODY = 3_000_000_000;

/** How a pair is set up. */
export interface PairOptions extends SiteOptions {
  /** The caller's identities. Default: 1. */
  readonly identities?: number;
  /** Entries of the agent in all, the caller's identities included. Default: those alone. */
  readonly entries?: number;
  /** Leaves the agent out. */
  readonly serverOnly?: boolean;
  /** Makes the folders and files. Default: those of nodes that join with a token. */
  readonly makeSite?: typeof makeSite;
}

/** A running server. Disposing ends everything. */
export class Pair implements AsyncDisposable {
  readonly subject: Subject;
  readonly site: Site;
  readonly admin: Admin;
  readonly token: string;
  readonly agentId: SPIFFEID;
  /** Entries that were made at the start, the caller's first. */
  entryIds: readonly string[] = [];
  server: Daemon;
  #agent: Daemon | undefined;
  #workload: Worker<WorkloadOperations> | undefined;

  private constructor(subject: Subject, site: Site, server: Daemon, joined: { token: string; agentId: string }) {
    this.subject = subject;
    this.site = site;
    this.server = server;
    this.admin = new Admin(site.serverSocket);
    this.token = joined.token;
    this.agentId = idOf(new URL(joined.agentId).pathname);
  }

  /** Starts a server, registers entries, joins an agent, and waits until the caller has its identities. */
  static async start(subject: Subject, context: Context, options: PairOptions = {}): Promise<Pair> {
    const folder = join(context.folder, String(serial++));
    mkdirSync(folder, { recursive: true, mode: 0o755 });
    const site = await (options.makeSite ?? makeSite)(folder, {
      discoverWorkloadPath: false,
      ...options,
      server: `  ratelimit { attestation = false signing = false }\n${options.server ?? ""}`,
    });
    const server = await startServer(site, subject.server);
    const pair = new Pair(subject, site, server, await enroll(site, subject.server));
    try {
      const { identities = options.serverOnly ? 0 : 1, entries = identities } = options;
      pair.entryIds = await pair.admin.createEntries(
        [...pair.ofCaller(identities), ...pair.ofOthers(entries - identities)],
        A_CALL,
      );
      if (!options.serverOnly) await pair.startAgent(["-joinToken", pair.token]);
      return pair;
    } catch (error) {
      await pair[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Entries that give the caller an identity. */
  ofCaller(count: number, name = "caller"): NewEntry[] {
    return Array.from({ length: count }, (_, index) => ({
      id: idOf(`/${name}/${index}`),
      parent: this.agentId,
      selector: CALLER,
    }));
  }

  /** Entries of the agent for callers that never come. */
  ofOthers(count: number, name = "other", parent: SPIFFEID = this.agentId): NewEntry[] {
    return Array.from({ length: Math.max(0, count) }, (_, index) => ({
      id: idOf(`/${name}/${index}`),
      parent,
      selector: `unix:uid:${NOBODY + index}`,
    }));
  }

  get agent(): Daemon {
    if (this.#agent === undefined) throw new Error("no agent runs");
    return this.#agent;
  }

  /** A workload of this pair; made at first use. */
  get workload(): Worker<WorkloadOperations> {
    this.#workload ??= new Worker("workload-client.ts");
    return this.#workload;
  }

  get socket(): string {
    return this.site.agentSocket;
  }

  /** Starts the agent and waits until the caller has an SVID. */
  async startAgent(args: readonly string[] = []): Promise<Daemon> {
    this.#agent = await startAgent(this.site, args, this.subject.agent);
    await this.workload.call("first", { socket: this.socket, timeoutMs: 60_000 });
    return this.#agent;
  }

  /** The agent was started by the caller itself. */
  adopt(agent: Daemon): void {
    this.#agent = agent;
  }

  pidOf(daemon: Daemon): number {
    const { pid } = daemon.process;
    if (pid === undefined) throw new Error(`${daemon.name} does not run`);
    return pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.admin[Symbol.dispose]();
    await this.#workload?.[Symbol.asyncDispose]();
    await this.#agent?.stop();
    await this.server.stop();
  }
}

let serial = 0;
