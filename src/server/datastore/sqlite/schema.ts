/** The tables of the SQLite datastore as kysely sees them. Times are Unix seconds; flags are 0 or 1. */
import type { Generated } from "kysely";

/** `entries`: registration entries, without their lists. */
export interface EntryTable {
  /** Order of creation; pages go by it. */
  readonly seq: Generated<number>;
  readonly entry_id: string;
  readonly spiffe_id: string;
  readonly parent_id: string;
  /** SHA-256 of the canonical selector set: one column for the unique index. */
  readonly selector_hash: Uint8Array;
  readonly x509_svid_ttl: number;
  readonly jwt_svid_ttl: number;
  readonly admin: number;
  readonly downstream: number;
  readonly store_svid: number;
  readonly hint: string;
  readonly expires_at: number;
  readonly created_at: number;
  readonly revision: number;
  readonly disable_x509_svid_prefetch: number;
  readonly jwt_svid_include_jti: number;
}

/** `entry_selectors`: `type:value` texts. */
export interface EntrySelectorTable {
  readonly entry: number;
  readonly selector: string;
}

/** `entry_dns_names`: in order, because the first becomes the common name. */
export interface EntryDnsNameTable {
  readonly entry: number;
  readonly position: number;
  readonly name: string;
}

/** `entry_federates`: each row refers to a bundle. */
export interface EntryFederatesTable {
  readonly entry: number;
  readonly trust_domain: string;
}

/** `nodes`: attested nodes. */
export interface NodeTable {
  readonly seq: Generated<number>;
  readonly agent_id: string;
  readonly attestation_type: string;
  readonly serial: string;
  readonly expires_at: number;
  readonly pending_serial: string;
  readonly pending_expires_at: number;
  readonly can_reattest: number;
  readonly agent_version: string;
  /** JSON: an object of texts. */
  readonly facts: string;
}

/** `node_selectors`: `type:value` texts. */
export interface NodeSelectorTable {
  readonly node: number;
  readonly selector: string;
}

/** `bundles`: authorities as JSON (`bundle-codec.ts`). */
export interface BundleTable {
  readonly seq: Generated<number>;
  readonly trust_domain: string;
  readonly authorities: string;
  readonly refresh_hint: number;
  readonly sequence: number;
}

/** `join_tokens`: by hash, so that a copy of the row spends none; an alias made with the token names it, though. */
export interface JoinTokenTable {
  readonly token_hash: Uint8Array;
  readonly expires_at: number;
}

/** `ca_journal`: one row. */
export interface CaJournalTable {
  readonly id: number;
  readonly data: Uint8Array;
}

/** `events`: the log of changes. */
export interface EventTable {
  readonly id: Generated<number>;
  readonly kind: string;
  readonly subject: string;
  readonly created_at: number;
}

/** All tables. */
export interface Schema {
  readonly entries: EntryTable;
  readonly entry_selectors: EntrySelectorTable;
  readonly entry_dns_names: EntryDnsNameTable;
  readonly entry_federates: EntryFederatesTable;
  readonly nodes: NodeTable;
  readonly node_selectors: NodeSelectorTable;
  readonly bundles: BundleTable;
  readonly join_tokens: JoinTokenTable;
  readonly ca_journal: CaJournalTable;
  readonly events: EventTable;
}
