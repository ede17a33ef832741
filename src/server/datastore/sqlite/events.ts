/** The log of changes in SQLite. Ids have no gaps: one writer, and rolled back rows give theirs back. */
import type { ChangeEvent, EventStore } from "../datastore.ts";
import type { Session } from "./session.ts";

export class SqliteEventStore implements EventStore {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  async since(id: bigint, limit: number): Promise<readonly ChangeEvent[] | undefined> {
    const db = this.#session.read;
    // Asked one by one, each is a look at one end of the index; together SQLite reads the whole log.
    const last = await this.latest();
    const { first } = await db
      .selectFrom("events")
      .select((eb) => eb.fn.min<number | null>("id").as("first"))
      .executeTakeFirstOrThrow();
    if (last < id || BigInt(first ?? 1) > id + 1n) return undefined;
    const rows = await db
      .selectFrom("events")
      .select(["id", "kind", "subject"])
      .where("id", ">", Number(id))
      .orderBy("id")
      .limit(limit)
      .execute();
    return rows.map((row) => ({ id: BigInt(row.id), kind: row.kind as ChangeEvent["kind"], subject: row.subject }));
  }

  async latest(): Promise<bigint> {
    const { last } = await this.#session.read
      .selectFrom("events")
      .select((eb) => eb.fn.max<number | null>("id").as("last"))
      .executeTakeFirstOrThrow();
    return BigInt(last ?? 0);
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
