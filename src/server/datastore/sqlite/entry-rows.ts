/** Registration entries to rows and back. */
import { type Kysely, type RawBuilder, type Selectable, sql } from "kysely";
import { publicError } from "../../../lib/errors.ts";
import type { RegistrationEntry } from "../../../spiffe/entry.ts";
import type { SpiffeId, TrustDomain } from "../../../spiffe/id.ts";
import { normalizeSelectors } from "../../../spiffe/selector.ts";
import { hotQuery } from "./hot-query.ts";
import type { EntryDnsNameTable, EntryFederatesTable, EntrySelectorTable, EntryTable, Schema } from "./schema.ts";
import { selectorHash, selectorTexts, sorted, storedSelector } from "./selectors.ts";

/** A row of `entries`. */
export type EntryRow = Selectable<EntryTable>;
/** What an entry says of its row. */
type EntryColumns = Omit<EntryRow, "seq">;

/** The columns of an entry. Throws `INVALID_ARGUMENT` for an entry without selectors. */
export function entryColumns(entry: RegistrationEntry): EntryColumns {
  if (entry.selectors.length === 0) throw publicError("INVALID_ARGUMENT", "an entry needs at least one selector");
  return {
    entry_id: entry.entryId,
    spiffe_id: entry.spiffeId,
    parent_id: entry.parentId,
    selector_hash: selectorHash(entry.selectors),
    x509_svid_ttl: entry.x509SvidTtl,
    jwt_svid_ttl: entry.jwtSvidTtl,
    admin: Number(entry.admin),
    downstream: Number(entry.downstream),
    store_svid: Number(entry.storeSvid),
    hint: entry.hint,
    expires_at: entry.expiresAt,
    created_at: entry.createdAt,
    revision: Number(entry.revision),
    disable_x509_svid_prefetch: Number(entry.disableX509SvidPrefetch),
    jwt_svid_include_jti: Number(entry.jwtSvidIncludeJti),
  };
}

/** The entry as it reads once stored: its sets in canonical form, the row's own columns from the row. */
export function asStored(entry: RegistrationEntry, row: Pick<EntryRow, "created_at" | "revision">): RegistrationEntry {
  return {
    ...entry,
    selectors: normalizeSelectors(entry.selectors),
    federatesWith: [...new Set(entry.federatesWith)].sort(),
    createdAt: row.created_at,
    revision: BigInt(row.revision),
  };
}

/** Stores a row; returns none when there is one of the same IDs and selectors. */
export const insertRow = hotQuery<EntryColumns, Pick<EntryRow, "seq" | "created_at" | "revision">>((db, value) =>
  db
    .insertInto("entries")
    .values({
      entry_id: value("entry_id"),
      spiffe_id: value("spiffe_id"),
      parent_id: value("parent_id"),
      selector_hash: value("selector_hash"),
      x509_svid_ttl: value("x509_svid_ttl"),
      jwt_svid_ttl: value("jwt_svid_ttl"),
      admin: value("admin"),
      downstream: value("downstream"),
      store_svid: value("store_svid"),
      hint: value("hint"),
      expires_at: value("expires_at"),
      created_at: value("created_at"),
      revision: value("revision"),
      disable_x509_svid_prefetch: value("disable_x509_svid_prefetch"),
      jwt_svid_include_jti: value("jwt_svid_include_jti"),
    })
    .onConflict((conflict) => conflict.columns(["spiffe_id", "parent_id", "selector_hash"]).doNothing())
    .returning(["seq", "created_at", "revision"]),
);

const insertSelector = hotQuery<EntrySelectorTable>((db, value) =>
  db.insertInto("entry_selectors").values({ entry: value("entry"), selector: value("selector") }),
);

/** Stores the lists of the entry at `seq`, which has none. */
export async function insertLists(db: Kysely<Schema>, seq: number, entry: RegistrationEntry): Promise<void> {
  for (const selector of selectorTexts(entry.selectors)) await insertSelector(db, { entry: seq, selector });
  const names = entry.dnsNames.map((name, position) => ({ entry: seq, position, name }));
  if (names.length > 0) await db.insertInto("entry_dns_names").values(names).execute();
  const federates = [...new Set(entry.federatesWith)].map((trust_domain) => ({ entry: seq, trust_domain }));
  if (federates.length > 0) await db.insertInto("entry_federates").values(federates).execute();
}

/** Removes the lists of the entry at `seq`. */
export async function deleteLists(db: Kysely<Schema>, seq: number): Promise<void> {
  await db.deleteFrom("entry_selectors").where("entry", "=", seq).execute();
  await db.deleteFrom("entry_dns_names").where("entry", "=", seq).execute();
  await db.deleteFrom("entry_federates").where("entry", "=", seq).execute();
}

/** The list of entries comes as JSON: one query for any number of them. */
interface Of {
  readonly entries: string;
}

const selectorsOf = hotQuery<Of, EntrySelectorTable>((db, value) =>
  db
    .selectFrom("entry_selectors")
    .select(["entry", "selector"])
    .where("entry", "in", listed(value("entries"))),
);

const namesOf = hotQuery<Of, Pick<EntryDnsNameTable, "entry" | "name">>((db, value) =>
  db
    .selectFrom("entry_dns_names")
    .select(["entry", "name"])
    .where("entry", "in", listed(value("entries")))
    .orderBy("entry")
    .orderBy("position"),
);

const federatesOf = hotQuery<Of, EntryFederatesTable>((db, value) =>
  db
    .selectFrom("entry_federates")
    .select(["entry", "trust_domain"])
    .where("entry", "in", listed(value("entries"))),
);

function listed(json: string): RawBuilder<number> {
  return sql<number>`(select value from json_each(${json}))`;
}

/** The entries of these rows, in their order. At most `SLICE` rows. */
export async function loadEntries(
  db: Kysely<Schema>,
  rows: readonly EntryRow[],
): Promise<readonly RegistrationEntry[]> {
  if (rows.length === 0) return [];
  const seqs = { entries: JSON.stringify(rows.map((row) => row.seq)) };
  const selectors = group(await selectorsOf(db, seqs), (row) => storedSelector(row.selector));
  const names = group(await namesOf(db, seqs), (row) => row.name);
  const federates = group(await federatesOf(db, seqs), (row) => row.trust_domain as TrustDomain);
  return rows.map((row) => ({
    entryId: row.entry_id,
    spiffeId: row.spiffe_id as SpiffeId,
    parentId: row.parent_id as SpiffeId,
    selectors: sorted(selectors.get(row.seq) ?? []),
    federatesWith: federates.get(row.seq) ?? [],
    x509SvidTtl: row.x509_svid_ttl,
    jwtSvidTtl: row.jwt_svid_ttl,
    dnsNames: names.get(row.seq) ?? [],
    admin: row.admin !== 0,
    downstream: row.downstream !== 0,
    storeSvid: row.store_svid !== 0,
    hint: row.hint,
    expiresAt: row.expires_at,
    createdAt: row.created_at,
    revision: BigInt(row.revision),
    disableX509SvidPrefetch: row.disable_x509_svid_prefetch !== 0,
    jwtSvidIncludeJti: row.jwt_svid_include_jti !== 0,
  }));
}

function group<R extends { readonly entry: number }, V>(rows: readonly R[], value: (row: R) => V): Map<number, V[]> {
  const groups = new Map<number, V[]>();
  for (const row of rows) {
    const list = groups.get(row.entry);
    if (list === undefined) groups.set(row.entry, [value(row)]);
    else list.push(value(row));
  }
  return groups;
}
