/** The log of changes in SQLite. Ids have no gaps: one writer, and rolled back rows give theirs back. */
import type { ChangeEvent, EventStore } from "../datastore.ts";
import { hotQuery } from "./hot-query.ts";
import type { Session } from "./session.ts";

interface Bound {
  readonly id: number | null;
}

const firstId = hotQuery<object, Bound>((db) =>
  db.selectFrom("events").select((eb) => eb.fn.min<number | null>("id").as("id")),
);

const lastId = hotQuery<object, Bound>((db) =>
  db.selectFrom("events").select((eb) => eb.fn.max<number | null>("id").as("id")),
);

interface EventRow {
  readonly id: number;
  readonly kind: string;
  readonly subject: string;
}

const eventsAfter = hotQuery<{ readonly id: number; readonly limit: number }, EventRow>((db, value) =>
  db
    .selectFrom("events")
    .select(["id", "kind", "subject"])
    .where("id", ">", value("id"))
    .orderBy("id")
    .limit(value("limit")),
);

export class SqliteEventStore implements EventStore {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  async since(id: bigint, limit: number): Promise<readonly ChangeEvent[] | undefined> {
    const db = this.#session.read;
    // Asked one by one, each is a look at one end of the index; together SQLite reads the whole log.
    const last = await this.latest();
    const [oldest] = await firstId(db, {});
    if (last < id || BigInt(oldest?.id ?? 1) > id + 1n) return undefined;
    const rows = await eventsAfter(db, { id: Number(id), limit });
    return rows.map((row) => ({ id: BigInt(row.id), kind: row.kind as ChangeEvent["kind"], subject: row.subject }));
  }

  async latest(): Promise<bigint> {
    const [newest] = await lastId(this.#session.read, {});
    return BigInt(newest?.id ?? 0);
  }

  prune(before: number): Promise<void> {
    return this.#session.write(async ({ db }) => {
      await db
        .deleteFrom("events")
        .where("created_at", "<", before)
        .where("id", "<", (eb) => eb.selectFrom("events").select((sub) => sub.fn.max("id").as("last")))
        .execute();
    });
  }
}
