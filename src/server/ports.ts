/** What the API asks of the certificate authority and of the index of entries. */

import type { Name } from "../pki/name.ts";
import type { RegistrationEntry } from "../spiffe/entry.ts";
import type { SpiffeId } from "../spiffe/id.ts";
import type { Der } from "../spiffe/svid.ts";

/** A certificate that was just issued, with what goes to its owner. */
export interface IssuedSvid {
  /** Leaf first; the root is not in it. */
  readonly chain: readonly Der[];
  /** Milliseconds since the Unix epoch. */
  readonly notAfter: number;
  /** Decimal, of the leaf. */
  readonly serial: string;
}

/** Signs X509-SVIDs. Every method may throw `UNAVAILABLE` while there is no authority. */
export interface X509Issuer {
  issueAgentSvid(request: { readonly spiffeId: SpiffeId; readonly spki: Uint8Array }): Promise<IssuedSvid>;
  issueWorkloadSvid(request: {
    readonly spiffeId: SpiffeId;
    readonly spki: Uint8Array;
    readonly dnsNames: readonly string[];
    /** Default C=US, O=SPIRE. */
    readonly subject?: Name;
    /** Seconds; 0 for the default. */
    readonly ttl: number;
  }): Promise<IssuedSvid>;
}

/** Which entries an agent may have. Equal entries are one object from call to call, so that encodings can be kept by identity. */
export interface AuthorizedEntries {
  /** All that the agent is authorized for, including what this process committed just before. */
  of(agentId: SpiffeId): Promise<readonly RegistrationEntry[]>;
  /** Those of the given ones that the agent is authorized for, by ID. */
  lookup(agentId: SpiffeId, entryIds: ReadonlySet<string>): Promise<ReadonlyMap<string, RegistrationEntry>>;
}

/** A change, and whom it concerns. */
export interface AffectedChange {
  /** `entries`: those of the agents changed; `bundles`: one that they use did. */
  readonly kind: "entries" | "bundles";
  readonly agents: ReadonlySet<SpiffeId> | "all";
}

/** The index of entries in memory (`entries/authorized-entries.ts`), as far as the server's API uses it. */
export interface EntryIndexView {
  /** Resolves once all that this process committed before the call is in the answers. */
  settled(): Promise<void>;
  /** In no order; equal answers are the same array. */
  authorizedFor(agentId: SpiffeId): readonly RegistrationEntry[];
  authorizedEntry(agentId: SpiffeId, entryId: string): RegistrationEntry | undefined;
  /** Numbers that grow whenever the agent's entries, or the bundles it uses, may have changed. */
  revisions(agentId: SpiffeId): { readonly entries: bigint; readonly bundles: bigint };
  /** Calls back with each change, after it is in the answers and revisions. Returns the function that ends it. */
  onAffected(listener: (change: AffectedChange) => void): () => void;
}
