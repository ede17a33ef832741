/** The schema's versions: each migration turns one into the next. Never edit a released one; append. */

/** Marks the file as Holdfast's (SQLite's `application_id`): the ASCII letters `Hold`. */
export const APPLICATION_ID = 0x486f6c64;

/** SQL scripts; the n-th leads to schema version n, which SQLite's `user_version` holds. */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE bundles (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    trust_domain TEXT NOT NULL UNIQUE,
    authorities TEXT NOT NULL,
    refresh_hint INTEGER NOT NULL,
    sequence INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE entries (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    entry_id TEXT NOT NULL UNIQUE,
    spiffe_id TEXT NOT NULL,
    parent_id TEXT NOT NULL,
    selector_hash BLOB NOT NULL,
    x509_svid_ttl INTEGER NOT NULL,
    jwt_svid_ttl INTEGER NOT NULL,
    admin INTEGER NOT NULL,
    downstream INTEGER NOT NULL,
    store_svid INTEGER NOT NULL,
    hint TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    disable_x509_svid_prefetch INTEGER NOT NULL,
    jwt_svid_include_jti INTEGER NOT NULL,
    UNIQUE (spiffe_id, parent_id, selector_hash)
  ) STRICT;
  CREATE INDEX entries_parent ON entries (parent_id);
  CREATE INDEX entries_hint ON entries (hint) WHERE hint <> '';
  CREATE INDEX entries_expiry ON entries (expires_at) WHERE expires_at > 0;

  CREATE TABLE entry_selectors (
    entry INTEGER NOT NULL REFERENCES entries (seq) ON DELETE CASCADE,
    selector TEXT NOT NULL,
    PRIMARY KEY (entry, selector)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX entry_selectors_selector ON entry_selectors (selector, entry);

  CREATE TABLE entry_dns_names (
    entry INTEGER NOT NULL REFERENCES entries (seq) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (entry, position)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE entry_federates (
    entry INTEGER NOT NULL REFERENCES entries (seq) ON DELETE CASCADE,
    trust_domain TEXT NOT NULL REFERENCES bundles (trust_domain),
    PRIMARY KEY (entry, trust_domain)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX entry_federates_trust_domain ON entry_federates (trust_domain, entry);

  CREATE TABLE nodes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    agent_id TEXT NOT NULL UNIQUE,
    attestation_type TEXT NOT NULL,
    serial TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    pending_serial TEXT NOT NULL,
    pending_expires_at INTEGER NOT NULL,
    can_reattest INTEGER NOT NULL,
    agent_version TEXT NOT NULL
  ) STRICT;
  CREATE INDEX nodes_expiry ON nodes (expires_at);

  CREATE TABLE node_selectors (
    node INTEGER NOT NULL REFERENCES nodes (seq) ON DELETE CASCADE,
    selector TEXT NOT NULL,
    PRIMARY KEY (node, selector)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX node_selectors_selector ON node_selectors (selector, node);

  CREATE TABLE join_tokens (
    token_hash BLOB PRIMARY KEY,
    expires_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX join_tokens_expiry ON join_tokens (expires_at);

  CREATE TABLE ca_journal (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    data BLOB NOT NULL
  ) STRICT;

  CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    created_at INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX events_created ON events (created_at);
  `,
  `ALTER TABLE nodes ADD COLUMN facts TEXT NOT NULL DEFAULT '{}';`,
];
