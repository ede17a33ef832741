/** Registration entries: who may have which SPIFFE ID. */
import type { SpiffeId, TrustDomain } from "./id.ts";
import type { Selector } from "./selector.ts";

/** A registration entry as server and agent hold it. The agent's copies lack what only the server needs. */
export interface RegistrationEntry {
  /** Unique; at most 255 characters of `[A-Za-z0-9._-]`. */
  readonly entryId: string;
  readonly spiffeId: SpiffeId;
  /** The agent, node alias or entry under which this one hangs. */
  readonly parentId: SpiffeId;
  /** At least one; a workload matches when it has all of them. */
  readonly selectors: readonly Selector[];
  readonly federatesWith: readonly TrustDomain[];
  /** Seconds; 0 for the server's default. */
  readonly x509SvidTtl: number;
  /** Seconds; 0 for the server's default. */
  readonly jwtSvidTtl: number;
  readonly dnsNames: readonly string[];
  readonly admin: boolean;
  readonly downstream: boolean;
  readonly storeSvid: boolean;
  /** At most 1024 bytes; empty for none. */
  readonly hint: string;
  /** Unix seconds; 0 for never. */
  readonly expiresAt: number;
  /** Unix seconds. */
  readonly createdAt: number;
  /** Starts at 0 and grows by one with each update. */
  readonly revision: bigint;
  readonly disableX509SvidPrefetch: boolean;
  readonly jwtSvidIncludeJti: boolean;
}

/** What the agent needs to know of an entry (the mask of its sync). */
export type AuthorizedEntry = Pick<
  RegistrationEntry,
  | "entryId"
  | "spiffeId"
  | "selectors"
  | "federatesWith"
  | "admin"
  | "downstream"
  | "storeSvid"
  | "hint"
  | "createdAt"
  | "revision"
  | "disableX509SvidPrefetch"
  | "jwtSvidIncludeJti"
>;
