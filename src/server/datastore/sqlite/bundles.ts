/** Trust bundles in SQLite. */
import type { Kysely, Selectable } from "kysely";
import { publicError } from "../../../lib/errors.ts";
import { emptyBundle, type KeyAuthority, type TrustBundle, type X509Authority } from "../../../spiffe/bundle.ts";
import type { TrustDomain } from "../../../spiffe/id.ts";
import type { BundleStore, Page, PageRequest } from "../datastore.ts";
import { decodeAuthorities, encodeAuthorities } from "./bundle-codec.ts";
import { readPage } from "./paging.ts";
import type { BundleTable, Schema } from "./schema.ts";
import type { Session } from "./session.ts";
import type { WriteUnit } from "./writer.ts";

type BundleRow = Selectable<BundleTable>;

export class SqliteBundleStore implements BundleStore {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  async get(trustDomain: TrustDomain): Promise<TrustBundle | undefined> {
    const row = await find(this.#session.read, trustDomain);
    return row && decode(row);
  }

  async list(page: PageRequest): Promise<Page<TrustBundle>> {
    const db = this.#session.read;
    return await readPage(
      page,
      (after, limit) =>
        db.selectFrom("bundles").selectAll().where("seq", ">", after).orderBy("seq").limit(limit).execute(),
      async (rows) => rows.map(decode),
    );
  }

  set(bundle: TrustBundle): Promise<TrustBundle> {
    return this.#session.write(async (unit) => {
      return await store(unit, bundle, await find(unit.db, bundle.trustDomain));
    });
  }

  append(bundle: TrustBundle): Promise<TrustBundle> {
    return this.#session.write(async (unit) => {
      const row = await find(unit.db, bundle.trustDomain);
      const present = row === undefined ? emptyBundle(bundle.trustDomain) : decode(row);
      const merged: TrustBundle = {
        ...present,
        refreshHint: bundle.refreshHint > 0 ? bundle.refreshHint : present.refreshHint,
        x509Authorities: union(present.x509Authorities, bundle.x509Authorities, certificateKey),
        jwtAuthorities: union(present.jwtAuthorities, bundle.jwtAuthorities, keyId),
        witAuthorities: union(present.witAuthorities, bundle.witAuthorities, keyId),
      };
      return await store(unit, merged, row);
    });
  }

  delete(trustDomain: TrustDomain, mode: "restrict" | "dissociate" | "delete"): Promise<boolean> {
    return this.#session.write(async (unit) => {
      const { db, event } = unit;
      if ((await find(db, trustDomain)) === undefined) return false;
      const federating = await db
        .selectFrom("entry_federates")
        .innerJoin("entries", "entries.seq", "entry_federates.entry")
        .select(["entries.seq", "entries.entry_id"])
        .where("entry_federates.trust_domain", "=", trustDomain)
        .execute();
      if (federating.length > 0 && mode === "restrict") {
        throw publicError(
          "FAILED_PRECONDITION",
          `cannot delete bundle; federated with ${federating.length} registration entries`,
        );
      }
      for (const { seq, entry_id } of federating) {
        if (mode === "delete") await db.deleteFrom("entries").where("seq", "=", seq).execute();
        else await dissociate(db, seq, trustDomain);
        event("entry", entry_id);
      }
      await db.deleteFrom("bundles").where("trust_domain", "=", trustDomain).execute();
      event("bundle", trustDomain);
      return true;
    });
  }

  async count(): Promise<number> {
    const row = await this.#session.read
      .selectFrom("bundles")
      .select((eb) => eb.fn.countAll<number>().as("count"))
      .executeTakeFirstOrThrow();
    return row.count;
  }
}

/** Largest sequence that is taken over from a bundle: a column's number can grow from there without end. */
const MAX_SEQUENCE = 2n ** 52n;

/** Writes `bundle` over `row` if it differs. The sequence grows to the bundle's own where that is larger, else by one. */
async function store(unit: WriteUnit, bundle: TrustBundle, row: BundleRow | undefined): Promise<TrustBundle> {
  const authorities = encodeAuthorities(bundle);
  const sequence = bundle.sequence <= MAX_SEQUENCE ? Number(bundle.sequence) : 0;
  const isSame = row?.authorities === authorities && row.refresh_hint === bundle.refreshHint;
  if (row !== undefined && isSame && sequence <= row.sequence) return decode(row);
  const values = {
    trust_domain: bundle.trustDomain,
    authorities,
    refresh_hint: bundle.refreshHint,
    sequence: Math.max((row?.sequence ?? 0) + 1, sequence),
  };
  const stored = await unit.db
    .insertInto("bundles")
    .values(values)
    .onConflict((conflict) => conflict.column("trust_domain").doUpdateSet(values))
    .returningAll()
    .executeTakeFirstOrThrow();
  unit.event("bundle", bundle.trustDomain);
  return decode(stored);
}

/** An entry that loses a federated domain is a changed entry. */
async function dissociate(db: Kysely<Schema>, seq: number, trustDomain: TrustDomain): Promise<void> {
  await db.deleteFrom("entry_federates").where("entry", "=", seq).where("trust_domain", "=", trustDomain).execute();
  await db
    .updateTable("entries")
    .set((eb) => ({ revision: eb("revision", "+", 1) }))
    .where("seq", "=", seq)
    .execute();
}

async function find(db: Kysely<Schema>, trustDomain: TrustDomain): Promise<BundleRow | undefined> {
  return await db.selectFrom("bundles").selectAll().where("trust_domain", "=", trustDomain).executeTakeFirst();
}

function decode(row: BundleRow): TrustBundle {
  return {
    trustDomain: row.trust_domain as TrustDomain,
    ...decodeAuthorities(row.authorities, row.trust_domain),
    refreshHint: row.refresh_hint,
    sequence: BigInt(row.sequence),
  };
}

function union<T>(present: readonly T[], added: readonly T[], key: (item: T) => string): readonly T[] {
  const byKey = new Map(present.map((item) => [key(item), item]));
  for (const item of added) if (!byKey.has(key(item))) byKey.set(key(item), item);
  return [...byKey.values()];
}

function certificateKey(authority: X509Authority): string {
  return Buffer.from(authority.certificate).toString("base64");
}

function keyId(authority: KeyAuthority): string {
  return authority.keyId;
}
