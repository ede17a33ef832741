/** The CA journal in SQLite: one row. */
import type { JournalStore } from "../datastore.ts";
import type { Session } from "./session.ts";

const ID = 1;

export class SqliteJournalStore implements JournalStore {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  async load(): Promise<Uint8Array | undefined> {
    const row = await this.#session.read
      .selectFrom("ca_journal")
      .select("data")
      .where("id", "=", ID)
      .executeTakeFirst();
    return row?.data;
  }

  save(journal: Uint8Array): Promise<void> {
    return this.#session.write(async ({ db }) => {
      await db
        .insertInto("ca_journal")
        .values({ id: ID, data: journal })
        .onConflict((conflict) => conflict.column("id").doUpdateSet({ data: journal }))
        .execute();
    });
  }
}
