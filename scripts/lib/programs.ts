/** Starts the real programs in a folder of their own: for the demo, the bench and the end-to-end tests. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { isServing } from "./local-rpc.ts";

const ROOT = resolve(import.meta.dirname, "../..");

/** Where a program is: ours, or a path or name on `PATH` of another's. */
export const PROGRAMS = {
  agent: join(ROOT, "bin/holdfast-agent"),
  server: join(ROOT, "bin/holdfast-server"),
} as const;

/** How a command ended. */
export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end. Never throws for a failure of the command. */
export function run(
  program: string,
  args: readonly string[],
  options: { readonly uid?: number; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<Outcome> {
  return new Promise((resolveOutcome, reject) => {
    execFile(program, [...args], { ...options, maxBuffer: 64 << 20, encoding: "utf8" }, (error, stdout, stderr) => {
      const code: unknown = error?.code;
      if (error !== null && typeof code !== "number" && error.signal == null) reject(error);
      else resolveOutcome({ status: typeof code === "number" ? code : error === null ? 0 : 1, stdout, stderr });
    });
  });
}

/** A program that runs in the background, its output in a file. */
export class Daemon implements AsyncDisposable {
  readonly name: string;
  readonly logFile: string;
  readonly process: ChildProcess;
  readonly exited: Promise<number | null>;

  constructor(name: string, program: string, args: readonly string[], logFile: string, env?: NodeJS.ProcessEnv) {
    this.name = name;
    this.logFile = logFile;
    const log = openSync(logFile, "a", 0o600);
    this.process = spawn(program, [...args], { stdio: ["ignore", log, log], ...(env === undefined ? {} : { env }) });
    this.exited = new Promise((done) => {
      this.process.once("exit", (code) => done(code));
      this.process.once("error", () => done(null));
    });
  }

  /** All that it has printed. */
  log(): string {
    return readFileSync(this.logFile, "utf8");
  }

  /** Waits until `ready` says yes; throws with the end of the log when the program ends or time runs out. */
  async until(what: string, ready: () => boolean | Promise<boolean>, timeoutMs = 20_000): Promise<void> {
    const end = Date.now() + timeoutMs;
    while (!(await ready())) {
      if (this.process.exitCode !== null || this.process.signalCode !== null)
        throw new Error(`${this.name} ended before ${what}:\n${tail(this.log())}`);
      if (Date.now() > end) throw new Error(`${this.name}: no ${what} after ${timeoutMs} ms:\n${tail(this.log())}`);
      await new Promise((next) => setTimeout(next, 25));
    }
  }

  /** Ends it, by SIGTERM unless told otherwise, and waits. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
    if (this.process.exitCode === null && this.process.signalCode === null) this.process.kill(signal);
    return this.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("SIGKILL");
  }
}

function tail(log: string): string {
  return log.split("\n").slice(-15).join("\n");
}

/** A TCP port of the loopback interface that is free now. */
export function freePort(): Promise<number> {
  return new Promise((done, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() =>
        typeof address === "object" && address !== null ? done(address.port) : reject(new Error("no port")),
      );
    });
  });
}

/** Where a pair of programs keeps its things. */
export interface Site {
  readonly folder: string;
  readonly trustDomain: string;
  readonly port: number;
  readonly serverConfig: string;
  readonly agentConfig: string;
  readonly serverSocket: string;
  readonly agentSocket: string;
  readonly bundle: string;
}

/** What a site's configuration may say besides the least. Texts are HCL, put into their sections. */
export interface SiteOptions {
  readonly trustDomain?: string;
  /** More keys of `server { }`. */
  readonly server?: string;
  /** More sections of the server's file. */
  readonly serverSections?: string;
  /** More keys of `agent { }`. */
  readonly agent?: string;
  /** More sections of the agent's file. */
  readonly agentSections?: string;
  /** `KeyManager "disk"` unless `memory`. */
  readonly keyManager?: "memory";
  /** The server's `NodeAttestor "…" { … }`. Default: join tokens. */
  readonly serverAttestor?: string;
  /** The agent's. */
  readonly agentAttestor?: string;
  /** Whether callers are told apart by the path and hash of their programs. Default: true. */
  readonly discoverWorkloadPath?: boolean;
}

const JOIN_TOKEN = 'NodeAttestor "join_token" { plugin_data {} }';

/** Makes the folders and configuration files of a server and an agent below `folder`. They are SPIRE's files too. */
export async function makeSite(folder: string, options: SiteOptions = {}): Promise<Site> {
  const trustDomain = options.trustDomain ?? "example.org";
  const port = await freePort();
  for (const name of ["server", "agent", "server/private", "agent/public"])
    mkdirSync(join(folder, name), { recursive: true, mode: 0o755 });
  const site: Site = {
    folder,
    trustDomain,
    port,
    serverConfig: join(folder, "server.conf"),
    agentConfig: join(folder, "agent.conf"),
    serverSocket: join(folder, "server/private/api.sock"),
    agentSocket: join(folder, "agent/public/api.sock"),
    bundle: join(folder, "bundle.pem"),
  };
  const memory = options.keyManager === "memory";
  writeFileSync(
    site.serverConfig,
    `server {
  trust_domain = "${trustDomain}"
  bind_address = "127.0.0.1"
  bind_port = "${port}"
  data_dir = "${folder}/server"
  socket_path = "${site.serverSocket}"
${options.server ?? ""}
}
plugins {
  DataStore "sql" { plugin_data { database_type = "sqlite3" connection_string = "${folder}/server/datastore.sqlite3" } }
  KeyManager ${memory ? '"memory" { plugin_data {} }' : `"disk" { plugin_data { keys_path = "${folder}/server/keys.json" } }`}
  ${options.serverAttestor ?? JOIN_TOKEN}
}
${options.serverSections ?? ""}
`,
  );
  writeFileSync(
    site.agentConfig,
    `agent {
  trust_domain = "${trustDomain}"
  server_address = "127.0.0.1"
  server_port = "${port}"
  data_dir = "${folder}/agent"
  socket_path = "${site.agentSocket}"
  trust_bundle_path = "${site.bundle}"
${options.agent ?? ""}
}
plugins {
  KeyManager ${memory ? '"memory" { plugin_data {} }' : `"disk" { plugin_data { directory = "${folder}/agent" } }`}
  ${options.agentAttestor ?? JOIN_TOKEN}
  WorkloadAttestor "unix" { plugin_data { discover_workload_path = ${options.discoverWorkloadPath ?? true} } }
}
${options.agentSections ?? ""}
`,
  );
  return site;
}

/** Starts a server of the site and waits until it is healthy. */
export async function startServer(
  site: Site,
  program: string = PROGRAMS.server,
  args: readonly string[] = [],
): Promise<Daemon> {
  const daemon = new Daemon(
    "server",
    program,
    ["run", "-config", site.serverConfig, ...args],
    join(site.folder, "server.log"),
  );
  await healthy(daemon, site.serverSocket);
  return daemon;
}

/** Starts an agent of the site and waits until it is healthy. */
export async function startAgent(
  site: Site,
  args: readonly string[] = [],
  program: string = PROGRAMS.agent,
): Promise<Daemon> {
  const daemon = new Daemon(
    "agent",
    program,
    ["run", "-config", site.agentConfig, ...args],
    join(site.folder, "agent.log"),
  );
  await healthy(daemon, site.agentSocket);
  return daemon;
}

async function healthy(daemon: Daemon, socket: string): Promise<void> {
  try {
    await daemon.until("healthy answer", () => isServing(socket));
  } catch (error) {
    await daemon.stop("SIGKILL");
    throw error;
  }
}

/** Runs a command of the server on its admin socket; throws when it fails. */
export async function admin(site: Site, args: readonly string[], program: string = PROGRAMS.server): Promise<string> {
  const outcome = await run(program, [...args, "-socketPath", site.serverSocket]);
  if (outcome.status !== 0) throw new Error(`${args.join(" ")} failed:\n${outcome.stdout}${outcome.stderr}`);
  return outcome.stdout;
}

/** Writes the trust bundle where the agent looks for it, and makes a join token. */
export async function enroll(
  site: Site,
  program: string = PROGRAMS.server,
): Promise<{ readonly token: string; readonly agentId: string }> {
  writeFileSync(site.bundle, await admin(site, ["bundle", "show"], program));
  const token = /^Token: (\S+)$/m.exec(await admin(site, ["token", "generate"], program))?.[1] ?? "";
  return { token, agentId: `spiffe://${site.trustDomain}/spire/agent/join_token/${token}` };
}
