/** Finds out all selectors of a caller: asks every attestor, and makes sure that the caller is still who it was. */
import type { WorkloadAttestor, WorkloadPeer } from "../attestors/workload.ts";
import type { Clock } from "../lib/clock.ts";
import { AgentError, errorText } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import { LogShare } from "../lib/log-share.ts";
import { normalizeSelectors, type Selector } from "../spiffe/selector.ts";

/** What attestation needs. */
export interface WorkloadAttestationDeps {
  /** One of each plugin that is configured. */
  readonly attestors: readonly WorkloadAttestor[];
  readonly log: Logger;
  readonly clock: Clock;
}

const PUBLIC_MESSAGE = "workload attestation failed";

/** The `attest` of the Workload API's `IdentitySource`. Selectors never reach the log. */
export class WorkloadAttestation {
  readonly #attestors: readonly WorkloadAttestor[];
  readonly #log: Logger;
  readonly #known = new WeakMap<readonly Selector[], readonly Selector[]>();
  readonly #lines: LogShare<number>;

  constructor(deps: WorkloadAttestationDeps) {
    this.#attestors = deps.attestors;
    this.#log = deps.log;
    this.#lines = new LogShare(deps.clock);
  }

  /**
   * Normalised selectors. An attestor that fails is left out and logged. Throws `UNAVAILABLE` when all fail, or
   * when the caller is no longer the process, executing the file, that connected; `CANCELLED` when aborted.
   */
  async attest(peer: WorkloadPeer, signal: AbortSignal): Promise<readonly Selector[]> {
    const outcomes = await Promise.all(this.#attestors.map((attestor) => this.#ask(attestor, peer, signal)));
    if (signal.aborted) throw new AgentError("CANCELLED", "attestation was given up", { cause: signal.reason });
    if (!peer.isUnchanged()) {
      throw new AgentError(
        "UNAVAILABLE",
        "the caller is not the process that connected, or of another user, or executes another file",
        {
          publicMessage: PUBLIC_MESSAGE,
        },
      );
    }
    if (outcomes.length > 0 && outcomes.every((outcome) => outcome === undefined)) {
      throw new AgentError("UNAVAILABLE", "every workload attestor failed", { publicMessage: PUBLIC_MESSAGE });
    }
    return this.#normalized(outcomes);
  }

  /** Of one attestor's selectors that cannot change, once. */
  #normalized(outcomes: readonly (readonly Selector[] | undefined)[]): readonly Selector[] {
    const [only] = outcomes;
    if (outcomes.length !== 1 || only === undefined || !Object.isFrozen(only)) {
      return normalizeSelectors(outcomes.flatMap((selectors) => selectors ?? []));
    }
    const known = this.#known.get(only);
    if (known !== undefined) return known;
    const made = Object.freeze(normalizeSelectors(only));
    this.#known.set(only, made);
    return made;
  }

  async #ask(
    attestor: WorkloadAttestor,
    peer: WorkloadPeer,
    signal: AbortSignal,
  ): Promise<readonly Selector[] | undefined> {
    try {
      return await attestor.attest(peer, signal);
    } catch (error) {
      // That a caller has gone says nothing about the attestor.
      if (!signal.aborted && peer.isAlive()) {
        const fields = { plugin_name: attestor.name, pid: peer.pid, caller_uid: peer.uid, error: errorText(error) };
        this.#lines.pass(peer.uid, (suppressed) =>
          this.#log.warn("Workload attestor failed", { ...fields, ...suppressed }),
        );
      }
      return undefined;
    }
  }
}
