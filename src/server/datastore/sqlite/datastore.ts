/** All stores over one SQLite file. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Kysely } from "kysely";
import type { Clock } from "../../../lib/clock.ts";
import type { DataStore } from "../datastore.ts";
import { SqliteBundleStore } from "./bundles.ts";
import { SqliteEntryStore } from "./entries.ts";
import { SqliteEventStore } from "./events.ts";
import { SqliteJournalStore } from "./journal.ts";
import { SqliteNodeStore } from "./nodes.ts";
import { type OpenDatabase, openDatabase } from "./open.ts";
import type { Schema } from "./schema.ts";
import type { Session } from "./session.ts";
import { SqliteJoinTokenStore } from "./tokens.ts";
import { type Write, Writer } from "./writer.ts";

/** What the datastore needs. */
export interface SqliteDataStoreDeps {
  /** The database file; its folder exists, and no other server uses it. `:memory:`: a temporary one, gone after `close`. */
  readonly path: string;
  readonly clock: Clock;
}

/**
 * Opens the datastore, creating the file if there is none. Throws `FAILED_PRECONDITION` when the folder cannot be
 * used, `DATA_LOSS` when the file is damaged, foreign or newer (it stays as it is), `UNAVAILABLE` when it is locked.
 */
export async function openSqliteDataStore(deps: SqliteDataStoreDeps): Promise<DataStore> {
  if (deps.path !== IN_MEMORY) return new SqliteDataStore(await openDatabase(deps.path), deps.clock);
  // Two connections cannot share a database in memory and still read only what was committed.
  const folder = await mkdtemp(join(tmpdir(), "holdfast-datastore-"));
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    return new SqliteDataStore(await openDatabase(join(folder, "datastore.sqlite3")), deps.clock, remove);
  } catch (error) {
    await remove();
    throw error;
  }
}

const IN_MEMORY = ":memory:";

type Stores = Omit<DataStore, "name" | "transaction" | "onChange" | "close">;

/** A `DataStore` over open connections, which it closes. */
export class SqliteDataStore implements DataStore {
  readonly name: string;
  readonly entries: DataStore["entries"];
  readonly nodes: DataStore["nodes"];
  readonly bundles: DataStore["bundles"];
  readonly joinTokens: DataStore["joinTokens"];
  readonly caJournal: DataStore["caJournal"];
  readonly events: DataStore["events"];
  readonly #database: OpenDatabase;
  readonly #writer: Writer;
  readonly #listeners = new Set<() => void>();
  readonly #cleanUp: () => Promise<void>;

  /** `cleanUp` runs after both connections are closed. */
  constructor(database: OpenDatabase, clock: Clock, cleanUp: () => Promise<void> = async () => {}) {
    this.#database = database;
    this.#cleanUp = cleanUp;
    this.name = `SQLite database ${database.writer.path}`;
    this.#writer = new Writer({
      connection: database.writer,
      clock,
      changed: () => {
        for (const listener of Array.from(this.#listeners)) listener();
      },
    });
    const stores = storesOf({ read: database.reader.db, write: (work) => this.#writer.write(work) });
    this.entries = stores.entries;
    this.nodes = stores.nodes;
    this.bundles = stores.bundles;
    this.joinTokens = stores.joinTokens;
    this.caJournal = stores.caJournal;
    this.events = stores.events;
  }

  transaction<T>(work: (tx: DataStore) => Promise<T>): Promise<T> {
    return this.#writer.transaction((write, db) => work(transactionStore(this.name, write, db)));
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    await this.#writer.close();
    this.#listeners.clear();
    this.#database.reader.close();
    this.#database.writer.close();
    await this.#cleanUp();
  }
}

function storesOf(session: Session): Stores {
  return {
    entries: new SqliteEntryStore(session),
    nodes: new SqliteNodeStore(session),
    bundles: new SqliteBundleStore(session),
    joinTokens: new SqliteJoinTokenStore(session),
    caJournal: new SqliteJournalStore(session),
    events: new SqliteEventStore(session),
  };
}

/** The stores inside a transaction: they read what it wrote, and fail once it is over. */
function transactionStore(name: string, write: Write, db: () => Kysely<Schema>): DataStore {
  const session: Session = {
    get read() {
      return db();
    },
    write,
  };
  const refuse = (what: string) => (): never => {
    throw new Error(`${what} inside of a transaction`);
  };
  return {
    name,
    ...storesOf(session),
    transaction: refuse("a transaction"),
    onChange: refuse("onChange"),
    close: refuse("close"),
  };
}
