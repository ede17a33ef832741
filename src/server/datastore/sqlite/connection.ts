/** One SQLite connection: pragmas, cached statements, translated errors, and the shape that kysely's dialect wants. */
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { Kysely, type SqliteDatabase, SqliteDialect, type SqliteStatement } from "kysely";
import { translateError } from "./errors.ts";
import type { Schema } from "./schema.ts";

/** Milliseconds to wait for another process's lock; SQLite waits in the foreground, so it must stay short. */
const BUSY_TIMEOUT_MS = 1_000;
/** Prepared statements kept per connection. */
const MAX_STATEMENTS = 256;

/** Bytes that the write-ahead log keeps on the disk once its content is in the database. */
const MAX_IDLE_LOG = 64 * 1024 * 1024;

/** How to open. `reader`: of an existing database, writes refused; `writer`: WAL, durable at each commit. */
export type ConnectionMode = "reader" | "writer";

/** A connection; everything on it runs in the foreground. Errors are those of `translateError`. */
export class Connection implements SqliteDatabase {
  readonly path: string;
  readonly db: Kysely<Schema>;
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, Statement>();

  constructor(path: string, mode: ConnectionMode) {
    this.path = path;
    this.#database = this.#guard(
      () =>
        new DatabaseSync(path, {
          readOnly: mode === "reader",
          enableForeignKeyConstraints: true,
          timeout: BUSY_TIMEOUT_MS,
          defensive: true,
        }),
    );
    if (mode === "writer") {
      this.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = ${MAX_IDLE_LOG}`);
    }
    this.db = new Kysely<Schema>({ dialect: new SqliteDialect({ database: this }) });
  }

  /** Whether a transaction is open; SQLite ends it by itself on some errors (a full disk). */
  get inTransaction(): boolean {
    return this.#database.isTransaction;
  }

  /** Runs statements without results. */
  exec(sql: string): void {
    this.#guard(() => this.#database.exec(sql));
  }

  /** The first column of the first row. */
  scalar(sql: string): unknown {
    const row = this.prepare(sql).all([])[0];
    return typeof row === "object" && row !== null ? Object.values(row)[0] : undefined;
  }

  /** The statement, compiled at first use. */
  prepare(sql: string): SqliteStatement {
    const known = this.#statements.get(sql);
    if (known !== undefined) {
      this.#statements.delete(sql);
      this.#statements.set(sql, known);
      return known;
    }
    const statement = new Statement(
      this.#guard(() => this.#database.prepare(sql)),
      (work) => this.#guard(work),
    );
    this.#statements.set(sql, statement);
    if (this.#statements.size > MAX_STATEMENTS) {
      for (const oldest of this.#statements.keys()) {
        this.#statements.delete(oldest);
        break;
      }
    }
    return statement;
  }

  close(): void {
    this.#statements.clear();
    if (this.#database.isOpen) this.#guard(() => this.#database.close());
  }

  #guard<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw translateError(error, this.path);
    }
  }
}

/** A prepared statement as kysely calls it. */
class Statement implements SqliteStatement {
  readonly reader: boolean;
  readonly #statement: StatementSync;
  readonly #guard: <T>(work: () => T) => T;

  constructor(statement: StatementSync, guard: <T>(work: () => T) => T) {
    this.#statement = statement;
    this.#guard = guard;
    this.reader = statement.columns().length > 0;
  }

  all(parameters: readonly unknown[]): unknown[] {
    return this.#guard(() => this.#statement.all(...(parameters as SQLInputValue[])));
  }

  run(parameters: readonly unknown[]): { changes: number | bigint; lastInsertRowid: number | bigint } {
    return this.#guard(() => this.#statement.run(...(parameters as SQLInputValue[])));
  }

  iterate(parameters: readonly unknown[]): IterableIterator<unknown> {
    return this.#statement.iterate(...(parameters as SQLInputValue[]));
  }
}
