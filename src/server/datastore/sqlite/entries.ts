/** Registration entries in SQLite. */
import { type ExpressionBuilder, type ExpressionWrapper, type Kysely, type SqlBool, sql } from "kysely";
import { publicError } from "../../../lib/errors.ts";
import type { RegistrationEntry } from "../../../spiffe/entry.ts";
import type { EntryFilter, EntryStore, Page, PageRequest } from "../datastore.ts";
import {
  asStored,
  deleteLists,
  type EntryRow,
  entryColumns,
  insertLists,
  insertRow,
  loadEntries,
} from "./entry-rows.ts";
import { isUniqueViolation } from "./errors.ts";
import { hotQuery } from "./hot-query.ts";
import { readPage, SLICE } from "./paging.ts";
import type { Schema } from "./schema.ts";
import { selectorTexts } from "./selectors.ts";
import type { Session } from "./session.ts";
import { matchesSet } from "./set-filter.ts";

export class SqliteEntryStore implements EntryStore {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  create(entry: RegistrationEntry): Promise<{ readonly entry: RegistrationEntry; readonly created: boolean }> {
    return this.#session.write(async ({ db, event }) => {
      await requireBundles(db, entry);
      const columns = entryColumns(entry);
      const [inserted] = await insertRow(db, columns).catch((error: unknown) => {
        throw isUniqueViolation(error, "entries.entry_id") ? idTaken() : error;
      });
      if (inserted === undefined) {
        const existing = await db
          .selectFrom("entries")
          .selectAll()
          .where("spiffe_id", "=", columns.spiffe_id)
          .where("parent_id", "=", columns.parent_id)
          .where("selector_hash", "=", columns.selector_hash)
          .executeTakeFirstOrThrow();
        return { entry: await loadOne(db, existing), created: false };
      }
      await insertLists(db, inserted.seq, entry);
      event("entry", entry.entryId);
      return { entry: asStored(entry, inserted), created: true };
    });
  }

  async get(entryId: string): Promise<RegistrationEntry | undefined> {
    return (await this.getMany([entryId]))[0];
  }

  async getMany(entryIds: readonly string[]): Promise<readonly RegistrationEntry[]> {
    const found: RegistrationEntry[] = [];
    for (let start = 0; start < entryIds.length; start += SLICE) {
      const ids = entryIds.slice(start, start + SLICE);
      const db = this.#session.read;
      found.push(...(await loadEntries(db, await rowsOf(db, ids))));
    }
    return found;
  }

  update(entry: RegistrationEntry): Promise<RegistrationEntry> {
    return this.#session.write(async ({ db, event }) => {
      await requireBundles(db, entry);
      const { created_at: _created, revision: _revision, ...columns } = entryColumns(entry);
      const updated = await db
        .updateTable("entries")
        .set((eb) => ({ ...columns, revision: eb("revision", "+", 1) }))
        .where("entry_id", "=", entry.entryId)
        .returning(["seq", "created_at", "revision"])
        .executeTakeFirst()
        .catch((error: unknown) => {
          if (!isUniqueViolation(error, "entries.selector_hash")) throw error;
          throw publicError("ALREADY_EXISTS", "similar entry already exists");
        });
      if (updated === undefined) throw publicError("NOT_FOUND", "entry not found");
      await deleteLists(db, updated.seq);
      await insertLists(db, updated.seq, entry);
      event("entry", entry.entryId);
      return asStored(entry, updated);
    });
  }

  delete(entryId: string): Promise<RegistrationEntry | undefined> {
    return this.#session.write(async ({ db, event }) => {
      const row = await db.selectFrom("entries").selectAll().where("entry_id", "=", entryId).executeTakeFirst();
      if (row === undefined) return undefined;
      const entry = await loadOne(db, row);
      await db.deleteFrom("entries").where("seq", "=", row.seq).execute();
      event("entry", entryId);
      return entry;
    });
  }

  async list(filter: EntryFilter, page: PageRequest): Promise<Page<RegistrationEntry>> {
    const db = this.#session.read;
    return await readPage(
      page,
      (after, limit) =>
        db
          .selectFrom("entries")
          .selectAll()
          .where((eb) => matches(eb, filter))
          .where("seq", ">", after)
          .orderBy("seq")
          .limit(limit)
          .execute(),
      (rows) => loadEntries(db, rows),
    );
  }

  async count(filter: EntryFilter): Promise<number> {
    const row = await this.#session.read
      .selectFrom("entries")
      .select((eb) => eb.fn.countAll<number>().as("count"))
      .where((eb) => matches(eb, filter))
      .executeTakeFirstOrThrow();
    return row.count;
  }

  prune(now: number, limit: number): Promise<readonly string[]> {
    return this.#session.write(async ({ db, event }) => {
      const expired = await db
        .selectFrom("entries")
        .select(["seq", "entry_id"])
        // A literal, without which SQLite does not use the index of those that expire.
        .where((eb) => eb("expires_at", ">", eb.lit(0)))
        .where("expires_at", "<", now)
        .orderBy("expires_at")
        .limit(limit)
        .execute();
      for (const { seq, entry_id } of expired) {
        await db.deleteFrom("entries").where("seq", "=", seq).execute();
        event("entry", entry_id);
      }
      return expired.map((row) => row.entry_id);
    });
  }
}

function matches(
  eb: ExpressionBuilder<Schema, "entries">,
  filter: EntryFilter,
): ExpressionWrapper<Schema, "entries", SqlBool> {
  const conditions = [];
  if (filter.spiffeId !== undefined) conditions.push(eb("spiffe_id", "=", filter.spiffeId));
  if (filter.parentId !== undefined) conditions.push(eb("parent_id", "=", filter.parentId));
  if (filter.hint !== undefined) conditions.push(eb("hint", "=", filter.hint));
  // A literal, without which SQLite does not use the index of those that have a hint.
  if (filter.hint) conditions.push(eb("hint", "<>", sql<string>`''`));
  if (filter.downstream !== undefined) conditions.push(eb("downstream", "=", Number(filter.downstream)));
  if (filter.selectors !== undefined) {
    const { set, match } = filter.selectors;
    conditions.push(matchesSet("entry_selectors", selectorTexts(set), match));
  }
  if (filter.federatesWith !== undefined) {
    const { set, match } = filter.federatesWith;
    conditions.push(matchesSet("entry_federates", set, match));
  }
  return eb.and(conditions);
}

/** Most often one is asked for, or few. */
async function rowsOf(db: Kysely<Schema>, ids: readonly string[]): Promise<readonly EntryRow[]> {
  const [id] = ids;
  if (id !== undefined && ids.length === 1) return await rowOf(db, { entry_id: id });
  return await db.selectFrom("entries").selectAll().where("entry_id", "in", ids).execute();
}

const rowOf = hotQuery<Pick<EntryRow, "entry_id">, EntryRow>((db, value) =>
  db.selectFrom("entries").selectAll().where("entry_id", "=", value("entry_id")),
);

async function loadOne(db: Kysely<Schema>, row: EntryRow): Promise<RegistrationEntry> {
  const [entry] = await loadEntries(db, [row]);
  if (entry === undefined) throw new Error("a row that was just read is gone");
  return entry;
}

/** Federation needs the other side's bundle; the foreign key says so too, but not in words. */
async function requireBundles(db: Kysely<Schema>, entry: RegistrationEntry): Promise<void> {
  for (const trustDomain of entry.federatesWith) {
    const bundle = await db
      .selectFrom("bundles")
      .select("seq")
      .where("trust_domain", "=", trustDomain)
      .executeTakeFirst();
    if (bundle === undefined) {
      throw publicError("FAILED_PRECONDITION", `unable to find federated bundle "${trustDomain}"`);
    }
  }
}

function idTaken(): Error {
  return publicError("ALREADY_EXISTS", "an entry with this ID exists already");
}
