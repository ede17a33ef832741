/** What the Workload API asks of the agent: attests callers and shows them their part of the cache. */
import type { Watchable } from "../lib/watchable.ts";
import type { Selector } from "../spiffe/selector.ts";
import type { IdentitySource, WorkloadUpdate } from "../workload-api/ports.ts";
import type { SvidCache } from "./svid-cache.ts";

/** Finds out a caller's selectors. */
export type AttestWorkload<Peer> = (peer: Peer, signal: AbortSignal) => Promise<readonly Selector[]>;

/** Joins workload attestation and the cache, which know nothing of each other. */
export class AgentIdentitySource<Peer> implements IdentitySource<Peer> {
  readonly #attest: AttestWorkload<Peer>;
  readonly #cache: SvidCache;

  constructor(attest: AttestWorkload<Peer>, cache: SvidCache) {
    this.#attest = attest;
    this.#cache = cache;
  }

  async attest(peer: Peer, signal: AbortSignal): Promise<readonly Selector[]> {
    return await this.#attest(peer, signal);
  }

  subscribe(selectors: readonly Selector[]): Watchable<WorkloadUpdate> {
    return this.#cache.subscribe(selectors);
  }
}
