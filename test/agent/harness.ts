/** Runs agents against a fake SPIRE server, each in a folder of its own. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { vi } from "vitest";
import { type Agent, createAgent } from "../../src/agent/agent.ts";
import type { AgentOptions } from "../../src/agent/agent-options.ts";
import { JoinTokenAgentAttestor } from "../../src/attestors/join-token/agent.ts";
import type { AgentNodeAttestor } from "../../src/attestors/node.ts";
import { type Clock, systemClock } from "../../src/lib/clock.ts";
import type { LogFields, Logger } from "../../src/lib/log.ts";
import { type Metrics, noMetrics } from "../../src/lib/metrics.ts";
import { systemRandom } from "../../src/lib/random.ts";
import { formatBundle } from "../../src/pki/bundle-format.ts";
import type { TrustBundle } from "../../src/spiffe/bundle.ts";
import { parseTrustDomain } from "../../src/spiffe/id.ts";
import { parseSelector } from "../../src/spiffe/selector.ts";
import type { WorkloadUpdate } from "../../src/workload-api/ports.ts";
import { FakeSpireServer } from "../fakes/spire-server.ts";

export const TD = parseTrustDomain("example.org");

/** Remembers lines. */
export class RecordingLogger implements Logger {
  readonly lines: { readonly level: string; readonly message: string; readonly fields: LogFields }[] = [];
  readonly error = (message: string, fields: LogFields = {}): void => this.#add("error", message, fields);
  readonly warn = (message: string, fields: LogFields = {}): void => this.#add("warn", message, fields);
  readonly info = (message: string, fields: LogFields = {}): void => this.#add("info", message, fields);
  readonly debug = (message: string, fields: LogFields = {}): void => this.#add("debug", message, fields);
  readonly trace = (message: string, fields: LogFields = {}): void => this.#add("trace", message, fields);

  named(): Logger {
    return this;
  }

  /** All lines as one text. */
  get text(): string {
    return this.lines
      .map(({ level, message, fields }) => `${level} ${message} ${Object.values(fields).join(" ")}`)
      .join("\n");
  }

  #add(level: string, message: string, fields: LogFields): void {
    this.lines.push({ level, message, fields });
  }
}

/** An attestor that may attest as often as it likes. */
export class ReattestingAttestor implements AgentNodeAttestor {
  readonly name = "test_reattest";
  async begin() {
    return {
      payload: Buffer.from("node-1"),
      respond: async () => Buffer.from("pong"),
      async [Symbol.asyncDispose](): Promise<void> {},
    };
  }
}

/** How a test's agent differs from the usual one. */
export interface Site {
  readonly folder: string;
  readonly server: FakeSpireServer;
}

/** A server, and a folder for an agent. */
export async function makeSite(options: Partial<Parameters<typeof FakeSpireServer.start>[0]> = {}) {
  const folder = await mkdtemp(join(tmpdir(), "agent-"));
  const server = await FakeSpireServer.start({ trustDomain: TD, ...options });
  return {
    folder,
    server,
    async [Symbol.asyncDispose](): Promise<void> {
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** What may be changed about a test's agent. */
export interface AgentChange {
  readonly token?: string;
  readonly attestor?: AgentNodeAttestor;
  readonly clock?: Clock;
  readonly metrics?: Metrics;
  readonly bundle?: TrustBundle;
  readonly options?: Partial<AgentOptions>;
}

/** A running agent. */
export interface RunningAgent extends AsyncDisposable {
  readonly agent: Agent<never>;
  readonly log: RecordingLogger;
  /** Settles when `run` does. */
  readonly ended: Promise<unknown>;
  stop(): Promise<void>;
  /** What callers with these selectors have now. */
  value(...selectors: string[]): WorkloadUpdate;
  /** Waits until callers with these selectors have exactly these IDs. */
  expectIds(selectors: readonly string[], paths: readonly string[]): Promise<void>;
}

/** Starts an agent with a fresh join token, polling every 50 ms. */
export async function startAgent(site: Site, change: AgentChange = {}): Promise<RunningAgent> {
  const { server, folder } = site;
  const token = change.token ?? "token-1";
  if (change.token === undefined && change.attestor === undefined) server.state.tokens.add(token);
  const bundlePath = join(folder, "bootstrap.pem");
  await writeFile(bundlePath, formatBundle(change.bundle ?? server.state.bundle, "pem"));
  const log = new RecordingLogger();
  const agent = createAgent<never>(
    {
      clock: change.clock ?? systemClock,
      random: systemRandom,
      log,
      metrics: change.metrics ?? noMetrics,
      nodeAttestor: change.attestor ?? new JoinTokenAgentAttestor({ kind: "token", token }),
      attestWorkload: async () => [],
    },
    {
      trustDomain: TD,
      serverAddress: "127.0.0.1",
      serverPort: server.port,
      dataDir: join(folder, "data"),
      keyManager: { name: "disk", directory: join(folder, "data") },
      bootstrap: { kind: "file", path: bundlePath, format: "pem" },
      renewal: {},
      workloadKeyType: "ec-p256",
      jwtSvidCacheMaxSize: 100,
      syncIntervalMs: 50,
      requirePqKem: false,
      useSyncAuthorizedEntries: true,
      version: "0.0.0-test",
      ...change.options,
    },
  );
  const controller = new AbortController();
  const ended = agent.run(controller.signal);
  ended.catch(() => {});
  const running: RunningAgent = {
    agent,
    log,
    ended,
    async stop() {
      controller.abort(new Error("the test is over"));
      await ended;
    },
    value: (...selectors) => agent.identitySource.subscribe(selectors.map(parseSelector)).value,
    async expectIds(selectors, paths) {
      await until(
        () => {
          const ids = running.value(...selectors).identities.map(({ svid }) => svid.spiffeId);
          return JSON.stringify(ids) === JSON.stringify(paths.map((path) => `spiffe://${TD}${path}`));
        },
        () =>
          `${log.text}\nhas ${running
            .value(...selectors)
            .identities.map(({ svid }) => svid.spiffeId)
            .join(" ")}`,
      );
    },
    async [Symbol.asyncDispose]() {
      controller.abort(new Error("the test is over"));
      await ended.catch(() => {});
    },
  };
  return running;
}

/** Waits until a condition holds. */
export async function until(condition: () => boolean, why: () => string = () => "condition"): Promise<void> {
  await vi.waitFor(
    () => {
      if (!condition()) throw new Error(`still not: ${why()}`);
    },
    { timeout: 30_000, interval: 10 },
  );
}
