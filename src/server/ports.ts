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

/** A token that was just signed. Times in Unix seconds. */
export interface IssuedToken {
  readonly token: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
}

/** Signs JWT-SVIDs. Throws `UNAVAILABLE` while there is no key. */
export interface JwtIssuer {
  issueJwtSvid(request: {
    readonly spiffeId: SpiffeId;
    /** Not empty. */
    readonly audience: readonly string[];
    /** Seconds; 0 for the default. */
    readonly ttl: number;
    /** Gives the token an ID of its own. */
    readonly includeJti: boolean;
  }): Promise<IssuedToken>;
}

/** Signs WIT-SVIDs. Throws `UNAVAILABLE` while there is no key. */
export interface WitIssuer {
  issueWitSvid(request: {
    readonly spiffeId: SpiffeId;
    /** SubjectPublicKeyInfo, DER, of the key that the holder proves. */
    readonly publicKey: Uint8Array;
    /** What that key signs with, as JWS names it. */
    readonly algorithm: string;
    /** Seconds; 0 for the default. */
    readonly ttl: number;
  }): Promise<IssuedToken>;
}

/** An authority as administrators see it. */
export interface AuthorityState {
  readonly authorityId: string;
  /** Milliseconds since the Unix epoch. */
  readonly notAfter: number;
}

/** One authority per status; the newest of the old ones. */
export interface AuthorityStates {
  readonly active: AuthorityState | undefined;
  readonly prepared: AuthorityState | undefined;
  readonly old: AuthorityState | undefined;
}

/**
 * The authorities of one kind, for administrators. A step that the state forbids throws `INVALID_ARGUMENT`, or
 * `INTERNAL` where SPIRE does, in words for the caller; one that cannot be stored, as the datastore does.
 */
export interface AuthorityAdmin {
  readonly states: AuthorityStates;
  /** Makes the next authority and publishes it in the bundle. */
  prepare(): Promise<AuthorityState>;
  /** Lets the prepared authority sign. */
  activate(authorityId: string): Promise<AuthorityState>;
  /** Marks an old authority, so that everything below it is issued anew. */
  taint(authorityId: string): Promise<AuthorityState>;
  /** Takes a tainted authority out of the bundle; the state is unknown for one that is not this server's. */
  revoke(authorityId: string): Promise<AuthorityState | undefined>;
}

/** All authorities of this server; absent kinds are disabled. */
export interface LocalAuthorities {
  readonly x509: AuthorityAdmin;
  readonly jwt: AuthorityAdmin | undefined;
  readonly wit: AuthorityAdmin | undefined;
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
