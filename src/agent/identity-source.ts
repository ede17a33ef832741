/** What the Workload API asks of the agent: attests callers and shows them their part of the cache. */
import type { Watchable } from "../lib/watchable.ts";
import type { AuthorizedEntry } from "../spiffe/entry.ts";
import type { Selector } from "../spiffe/selector.ts";
import type { JwtSvid } from "../spiffe/svid.ts";
import type { IdentitySource, WitSource, WorkloadUpdate } from "../workload-api/ports.ts";
import type { JwtSvids } from "./jwt-svids.ts";
import type { SvidCache } from "./svid-cache.ts";

/** Finds out a caller's selectors. */
export type AttestWorkload<Peer> = (peer: Peer, signal: AbortSignal) => Promise<readonly Selector[]>;

/** Joins workload attestation, the cache and the sources of tokens, which know nothing of each other. */
export class AgentIdentitySource<Peer> implements IdentitySource<Peer> {
  readonly #attest: AttestWorkload<Peer>;
  readonly #cache: SvidCache;
  readonly #jwts: JwtSvids;
  readonly wits: WitSource;

  constructor(attest: AttestWorkload<Peer>, cache: SvidCache, jwts: JwtSvids, wits: WitSource) {
    this.#attest = attest;
    this.#cache = cache;
    this.#jwts = jwts;
    this.wits = wits;
  }

  async attest(peer: Peer, signal: AbortSignal): Promise<readonly Selector[]> {
    return await this.#attest(peer, signal);
  }

  subscribe(selectors: readonly Selector[]): Watchable<WorkloadUpdate> {
    return this.#cache.subscribe(selectors);
  }

  fetchJwtSvid(
    entry: AuthorizedEntry,
    audience: readonly string[],
    signal: () => AbortSignal,
  ): JwtSvid | Promise<JwtSvid> {
    return this.#jwts.fetch(entry, audience, signal);
  }
}
