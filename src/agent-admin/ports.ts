/** What the administration socket asks of the agent. */
import type { Watchable } from "../lib/watchable.ts";
import type { TrustBundle } from "../spiffe/bundle.ts";
import type { SpiffeId, TrustDomain } from "../spiffe/id.ts";
import type { X509Svid } from "../spiffe/svid.ts";

/** All bundles that the agent holds. */
export interface HeldBundles {
  /** False until the first sync. */
  readonly synced: boolean;
  /** Of the agent's own trust domain. */
  readonly bundle: TrustBundle;
  readonly federatedBundles: ReadonlyMap<TrustDomain, TrustBundle>;
}

/** An entry of this node and how it is with its SVID. Times are milliseconds since the Unix epoch. */
export interface IdentityFacts {
  readonly entryId: string;
  readonly spiffeId: SpiffeId;
  /** Both absent while there is no X509-SVID. */
  readonly issuedAt?: number;
  readonly expiresAt?: number;
  /** When a new one is asked for. */
  readonly renewsAt?: number;
  /** The latest attempt to get one failed. */
  readonly failed: boolean;
}

/** A moment's facts. Times are milliseconds since the Unix epoch. */
export interface AgentFacts {
  readonly trustDomain: TrustDomain;
  /** The agent's own; absent before it has attested, and after the server has banned it. */
  readonly svid?: X509Svid;
  /** By which the agent trusts the server. */
  readonly bundle: TrustBundle;
  /** Workloads are served. */
  readonly serving: boolean;
  /** The latest call to the server was answered. */
  readonly connected: boolean;
  /** The server tells of changes, so that nothing polls. */
  readonly watching: boolean;
  readonly lastSyncAt?: number;
  /** What is wrong, for people, by topic. */
  readonly problems: ReadonlyMap<string, string>;
  /** Milliseconds that SVIDs should outlast the server; 0 for none. */
  readonly outageBudgetMs: number;
  /** What protects the SVIDs that are kept across restarts. */
  readonly storage: "tpm" | "credential" | "file" | "memory";
  readonly x509Svids: number;
  readonly jwtSvids: number;
}

/** What the agent tells its administrators. */
export interface AdminSource {
  facts(): AgentFacts;
  /** In no particular order. */
  identities(): Iterable<IdentityFacts>;
  readonly bundles: Watchable<HeldBundles>;
}
