/** A whole administration socket with the real addon, over an agent that the test plays. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, credentials } from "@grpc/grpc-js";
import { AdminApi } from "../../src/agent-admin/admin-api.ts";
import type { AdminSource, AgentFacts, HeldBundles, IdentityFacts } from "../../src/agent-admin/ports.ts";
import type { WorkloadPeer } from "../../src/attestors/workload.ts";
import { ServerReflectionClient } from "../../src/gen/grpc/reflection/v1/reflection.ts";
import { StatusClient } from "../../src/gen/holdfast/agent/v1/status.ts";
import { DebugClient } from "../../src/gen/spire/api/agent/debug/v1/debug.ts";
import { DelegatedIdentityClient } from "../../src/gen/spire/api/agent/delegatedidentity/v1/delegatedidentity.ts";
import { LoggerClient } from "../../src/gen/spire/api/agent/logger/v1/logger.ts";
import { type Clock, systemClock } from "../../src/lib/clock.ts";
import { LevelControl } from "../../src/lib/level-control.ts";
import type { LogLevel } from "../../src/lib/log-level.ts";
import { type Metrics, noMetrics } from "../../src/lib/metrics.ts";
import { type Watchable, WatchableValue } from "../../src/lib/watchable.ts";
import { parseSpiffeId, parseTrustDomain, type SpiffeId } from "../../src/spiffe/id.ts";
import { type Selector, selectorText } from "../../src/spiffe/selector.ts";
import type { WorkloadUpdate } from "../../src/workload-api/ports.ts";
import { bundleOf, FakeSource, identityOf, LogLines, native, updateOf } from "../workload-api/harness.ts";

export const TD = parseTrustDomain("example.org");
/** The identity that may ask for others'. */
export const DELEGATE: SpiffeId = parseSpiffeId("spiffe://example.org/delegate");

/** Callers have the selector `caller:me`, and may have `delegate`; other selectors have a cell each. */
export class FakeAgent extends FakeSource implements AdminSource {
  readonly cells = new Map<string, WatchableValue<WorkloadUpdate>>();
  override attested: FakeSource["attested"] = async () => [{ type: "caller", value: "me" }];
  readonly processes: WorkloadPeer[] = [];
  attestProcess = async (peer: WorkloadPeer): Promise<readonly Selector[]> => {
    this.processes.push(peer);
    return [{ type: "unix", value: `uid:${peer.uid}` }];
  };
  readonly bundles = new WatchableValue<HeldBundles>({
    synced: true,
    bundle: bundleOf("example.org", "root"),
    federatedBundles: new Map(),
  });
  now: AgentFacts = {
    trustDomain: TD,
    bundle: bundleOf("example.org", "root"),
    serving: true,
    connected: true,
    watching: false,
    problems: new Map(),
    outageBudgetMs: 7_200_000,
    storage: "file",
    x509Svids: 2,
    jwtSvids: 3,
  };
  entries: IdentityFacts[] = [];

  constructor() {
    super();
    this.cell("caller:me").set(updateOf([identityOf("delegate")]));
  }

  facts(): AgentFacts {
    return this.now;
  }

  identities(): Iterable<IdentityFacts> {
    return this.entries;
  }

  cell(...texts: string[]): WatchableValue<WorkloadUpdate> {
    const key = texts.join();
    const known = this.cells.get(key) ?? new WatchableValue(updateOf([]));
    this.cells.set(key, known);
    return known;
  }

  override subscribe(selectors: readonly Selector[]): Watchable<WorkloadUpdate> {
    return this.cell(...selectors.map(selectorText));
  }
}

class Root {
  level: LogLevel = "info";
  setLevel(level: LogLevel): void {
    this.level = level;
  }
}

/** What histograms were told, by name. */
class Observed implements Metrics {
  readonly values: Record<string, number[]> = {};
  readonly counter: Metrics["counter"] = (...args) => noMetrics.counter(...args);
  readonly gauge: Metrics["gauge"] = (...args) => noMetrics.gauge(...args);
  histogram(name: string) {
    const values: number[] = [];
    this.values[name] = values;
    return { observe: (value: number) => void values.push(value) };
  }
}

/** The socket and clients of its services. */
export class AdminHarness implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "agent-admin-"));
  readonly path = join(this.folder, "admin.sock");
  readonly root = new Root();
  readonly log = new LogLines();
  readonly metrics = new Observed();
  readonly api: AdminApi;
  readonly #clients: Client[] = [];

  private constructor(agent: FakeAgent, clock: Clock) {
    this.api = new AdminApi(
      {
        source: agent,
        identities: agent,
        attestProcess: (peer) => agent.attestProcess(peer),
        levels: new LevelControl(this.root),
        native,
        clock,
        log: this.log,
        metrics: this.metrics,
      },
      { socketPath: this.path, delegates: [DELEGATE], version: "1.2.3" },
    );
  }

  static async open(agent: FakeAgent, clock: Clock = systemClock): Promise<AdminHarness> {
    const harness = new AdminHarness(agent, clock);
    await harness.api.open();
    return harness;
  }

  get debug(): DebugClient {
    return this.#client(DebugClient);
  }

  get logger(): LoggerClient {
    return this.#client(LoggerClient);
  }

  get status(): StatusClient {
    return this.#client(StatusClient);
  }

  get reflection(): ServerReflectionClient {
    return this.#client(ServerReflectionClient);
  }

  get delegated(): DelegatedIdentityClient {
    return this.#client(DelegatedIdentityClient);
  }

  #client<T extends Client>(Kind: new (...args: ConstructorParameters<typeof Client>) => T): T {
    const client = new Kind(`unix://${this.path}`, credentials.createInsecure(), {});
    this.#clients.push(client);
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.close();
    await this.api.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** One answer, or the failure as `code details`. */
export function ask<Request, Response>(
  call: (
    request: Request,
    callback: (error: { code: number; details: string } | null, response: Response) => void,
  ) => unknown,
  request: Request,
): Promise<Response | string> {
  return new Promise((resolve) => {
    call(request, (error, response) => resolve(error === null ? response : `${error.code} ${error.details}`));
  });
}
