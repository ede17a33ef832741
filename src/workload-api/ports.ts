/** What the Workload API asks of the agent: who is calling, and what may it have. */
import type { Watchable } from "../lib/watchable.ts";
import type { TrustBundle } from "../spiffe/bundle.ts";
import type { AuthorizedEntry } from "../spiffe/entry.ts";
import type { TrustDomain } from "../spiffe/id.ts";
import type { Selector } from "../spiffe/selector.ts";
import type { JwtSvid, WitSvid, X509Svid } from "../spiffe/svid.ts";

/** One identity of a workload. */
export interface WorkloadIdentity {
  readonly entry: AuthorizedEntry;
  readonly svid: X509Svid;
}

/**
 * All that a workload may have at one moment. Immutable; callers that may have the same share one object,
 * so that its encoded form can be cached by identity. Before the first sync it is pending and without entries.
 */
export interface WorkloadUpdate {
  /** What the caller matches, sorted by entry ID: also entries whose X509-SVID is not there, for tokens need none. */
  readonly entries: readonly AuthorizedEntry[];
  /** Sorted by entry ID; the first is the default identity. Entries whose SVID is expired are left out. */
  readonly identities: readonly WorkloadIdentity[];
  /** True while matching entries still wait for their first SVID: a first answer waits for them. */
  readonly pending: boolean;
  /** Whether an X509-SVID has expired and no other has come. */
  readonly lapsed: boolean;
  /** The bundle of the agent's own trust domain. */
  readonly bundle: TrustBundle;
  /** Bundles of the trust domains that the entries federate with, as far as the agent has them. */
  readonly federatedBundles: ReadonlyMap<TrustDomain, TrustBundle>;
}

/** Where the WIT-SVID of an entry stands. */
export interface WitState {
  readonly entry: AuthorizedEntry;
  /** Absent until there is one that its holder's peers will accept. */
  readonly svid: WitSvid | undefined;
  /** The latest attempt to get one failed. */
  readonly failed: boolean;
}

/** Follows the WIT-SVIDs of the entries that it looked at last. */
export interface WitFollower {
  /** Whether the server signs no WIT-SVIDs. */
  readonly isRefused: boolean;
  /** Where each entry's WIT-SVID stands, in the order of the entries; those that lack one get it. */
  look(entries: readonly AuthorizedEntry[]): readonly WitState[];
  /** Ends it. */
  close(): void;
}

/** WIT-SVIDs of this node's workloads, which are made when somebody follows them. */
export interface WitSource {
  /** `changed` is told when what was looked at may say something else, also that the server signs none. */
  follow(changed: () => void): WitFollower;
}

/** Attests callers and follows what they may have. `Peer` is what the listener knows of a connection. */
export interface IdentitySource<Peer> {
  /**
   * The caller's selectors. Throws `UNAVAILABLE` when every attestor failed or the process is no longer the
   * one that connected; may be asked again for a connection at any time.
   */
  attest(peer: Peer, signal: AbortSignal): Promise<readonly Selector[]>;
  /** The cell that follows what a workload with these selectors may have; equal sets share it. */
  subscribe(selectors: readonly Selector[]): Watchable<WorkloadUpdate>;
  /**
   * A token of the entry's identity for these audiences, of which none is empty: at once when there is a valid one.
   * Throws `UNAVAILABLE` when none can be had.
   */
  fetchJwtSvid(
    entry: AuthorizedEntry,
    audience: readonly string[],
    signal: () => AbortSignal,
  ): JwtSvid | Promise<JwtSvid>;
  readonly wits: WitSource;
}
