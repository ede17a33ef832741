/** Registration entries to rows and back. */
import type { Insertable, Kysely, Selectable } from "kysely";
import { publicError } from "../../../lib/errors.ts";
import type { RegistrationEntry } from "../../../spiffe/entry.ts";
import type { SpiffeId, TrustDomain } from "../../../spiffe/id.ts";
import { normalizeSelectors } from "../../../spiffe/selector.ts";
import type { EntryTable, Schema } from "./schema.ts";
import { selectorHash, selectorTexts, sorted, storedSelector } from "./selectors.ts";

/** A row of `entries`. */
export type EntryRow = Selectable<EntryTable>;

/** The columns of an entry. Throws `INVALID_ARGUMENT` for an entry without selectors. */
export function entryColumns(entry: RegistrationEntry): Insertable<EntryTable> {
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

/** Stores the lists of the entry at `seq`, which has none. */
export async function insertLists(db: Kysely<Schema>, seq: number, entry: RegistrationEntry): Promise<void> {
  const selectors = selectorTexts(entry.selectors).map((selector) => ({ entry: seq, selector }));
  await db.insertInto("entry_selectors").values(selectors).execute();
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

/** The entries of these rows, in their order. At most `SLICE` rows. */
export async function loadEntries(
  db: Kysely<Schema>,
  rows: readonly EntryRow[],
): Promise<readonly RegistrationEntry[]> {
  if (rows.length === 0) return [];
  const seqs = rows.map((row) => row.seq);
  const selectors = group(
    await db.selectFrom("entry_selectors").select(["entry", "selector"]).where("entry", "in", seqs).execute(),
    (row) => storedSelector(row.selector),
  );
  const names = group(
    await db
      .selectFrom("entry_dns_names")
      .select(["entry", "name"])
      .where("entry", "in", seqs)
      .orderBy("entry")
      .orderBy("position")
      .execute(),
    (row) => row.name,
  );
  const federates = group(
    await db.selectFrom("entry_federates").select(["entry", "trust_domain"]).where("entry", "in", seqs).execute(),
    (row) => row.trust_domain as TrustDomain,
  );
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
