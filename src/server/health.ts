/** What is well and what is not, for the health checks: the same subsystems as SPIRE's. */
import { AgentError, errorText } from "../lib/errors.ts";
import type { TrustDomain } from "../spiffe/id.ts";
import type { DataStore } from "./datastore/datastore.ts";

/** One subsystem's state. */
export interface SubsystemHealth {
  readonly ready: boolean;
  /** Whether restarting could not help: an unreachable database is no reason to restart the server. */
  readonly live: boolean;
  readonly details: Readonly<Record<string, string | number | boolean>>;
}

/** Whether the CA does its work; `detail` says why not. */
export interface CaHealth {
  readonly ok: boolean;
  readonly detail: string;
}

/** What the checks need. */
export interface ServerHealthDeps {
  readonly trustDomain: TrustDomain;
  readonly datastore: Pick<DataStore, "bundles">;
  /** Whether SVIDs can be signed. */
  readonly ca: () => CaHealth;
  /** Whether both listeners are open. */
  readonly listening: () => boolean;
}

/** Asks each subsystem when asked, so an answer is never older than the question. */
export class ServerHealth {
  readonly #deps: ServerHealthDeps;

  constructor(deps: ServerHealthDeps) {
    this.#deps = deps;
  }

  /** Throws `UNAVAILABLE` unless the trust domain's bundle can be read. */
  async checkBundle(): Promise<void> {
    const { datastore, trustDomain } = this.#deps;
    const bundle = await datastore.bundles.get(trustDomain);
    if (bundle === undefined) throw new AgentError("UNAVAILABLE", "the trust domain has no bundle yet");
  }

  /** Every subsystem by SPIRE's name for it. */
  async report(): Promise<Readonly<Record<string, SubsystemHealth>>> {
    const [bundle, datastore] = await Promise.all([
      problemOf(() => this.checkBundle()),
      problemOf(() => this.#deps.datastore.bundles.count()),
    ]);
    const ca = this.#deps.ca();
    return {
      server: health(this.#deps.listening() ? bundle : "not listening yet"),
      "server.ca": health(ca.ok ? undefined : ca.detail),
      "catalog.datastore": health(datastore),
    };
  }
}

function health(problem: string | undefined): SubsystemHealth {
  return problem === undefined
    ? { ready: true, live: true, details: {} }
    : { ready: false, live: true, details: { error: problem } };
}

/** What a probe may read: health pages are open to whoever reaches them, so no more than the log would say. */
async function problemOf(check: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await check();
    return undefined;
  } catch (error) {
    return errorText(error);
  }
}
