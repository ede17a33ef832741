/**
 * The one writer of the database. Writes queue up; those that wait together share one commit, and with it one
 * fsync. Each is a unit: it is stored whole, or leaves nothing. A transaction of several units has its own commit.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Kysely } from "kysely";
import type { Clock } from "../../../lib/clock.ts";
import { AgentError } from "../../../lib/errors.ts";
import { turn } from "../../../lib/turn.ts";
import type { ChangeEvent } from "../datastore.ts";
import type { Connection } from "./connection.ts";
import type { Schema } from "./schema.ts";

/** Most units that share a commit: some milliseconds of work. */
const MAX_GROUP = 64;

/** What a write works with. */
export interface WriteUnit {
  readonly db: Kysely<Schema>;
  /** Records a change, stored with the unit. */
  readonly event: (kind: ChangeEvent["kind"], subject: string) => void;
}

/** Runs a write as one unit. */
export type Write = <T>(work: (unit: WriteUnit) => Promise<T>) => Promise<T>;

/** A write in the queue. `alone` ones are transactions. */
interface Job {
  readonly alone: boolean;
  /** Does the work; returns how to tell the caller once the commit is done. */
  perform(): Promise<() => void>;
  fail(error: unknown): void;
}

export class Writer {
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #queue: Job[] = [];
  /** The transaction from within which we are called, if any. */
  readonly #inside = new AsyncLocalStorage<{ open: boolean }>();
  readonly #changed: () => void;
  #running: Promise<void> | undefined;
  #closed = false;
  /** Whether the open transaction stored events. */
  #recorded = false;
  /** Whether the open transaction must not be committed. */
  #doomed = false;

  /** `changed` is called after each commit that stored events. */
  constructor(deps: { readonly connection: Connection; readonly clock: Clock; readonly changed: () => void }) {
    this.#connection = deps.connection;
    this.#clock = deps.clock;
    this.#changed = deps.changed;
  }

  /** Stores one unit; may share its commit with others. */
  write<T>(work: (unit: WriteUnit) => Promise<T>): Promise<T> {
    return this.#enqueue(false, () => this.#unit(work));
  }

  /** Stores all units that `work` makes through the `write` it gets, or none. */
  transaction<T>(work: (write: Write, db: () => Kysely<Schema>) => Promise<T>): Promise<T> {
    return this.#enqueue(true, async () => {
      const scope = { open: true };
      let last: Promise<unknown> = Promise.resolve();
      const check = (): void => {
        if (!scope.open) throw new Error("this transaction is over");
        if (this.#doomed || !this.#connection.inTransaction) throw this.#lost();
      };
      const write: Write = (unitWork) => {
        const result = last.then(() => {
          check();
          return this.#unit(unitWork);
        });
        last = result.catch(() => {});
        return result;
      };
      const db = (): Kysely<Schema> => {
        check();
        return this.#connection.db;
      };
      try {
        return await this.#inside.run(scope, () => work(write, db));
      } finally {
        await last;
        scope.open = false;
      }
    });
  }

  /** Refuses new writes and waits for those that were accepted. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
  }

  #enqueue<T>(alone: boolean, work: () => Promise<T>): Promise<T> {
    if (this.#inside.getStore()?.open === true) {
      return Promise.reject(new Error("a write outside of the transaction that is open here would wait for itself"));
    }
    if (this.#closed) return Promise.reject(new AgentError("UNAVAILABLE", "the datastore is closed"));
    return new Promise<T>((resolve, reject) => {
      const perform = async (): Promise<() => void> => {
        const result = await work();
        return () => resolve(result);
      };
      this.#queue.push({ alone, perform, fail: reject });
      this.#running ??= this.#drain();
    });
  }

  async #drain(): Promise<void> {
    do {
      // Requests that arrive in the same round of the event loop share the commit.
      await turn();
      await this.#commitGroup();
    } while (this.#queue.length > 0);
    this.#running = undefined;
  }

  /** Takes jobs from the queue's head and commits them together: one transaction, or several single writes. */
  async #commitGroup(): Promise<void> {
    const done: { readonly job: Job; readonly tell: () => void }[] = [];
    this.#recorded = false;
    this.#doomed = false;
    try {
      this.#connection.exec("BEGIN IMMEDIATE");
    } catch (error) {
      // Each attempt may wait for a lock in the foreground, so nobody else tries in this round.
      for (const job of this.#queue.splice(0)) job.fail(error);
      return;
    }
    for (let count = 0; count < MAX_GROUP; count++) {
      const job = this.#queue[0];
      if (job === undefined || (job.alone && count > 0)) break;
      this.#queue.shift();
      try {
        done.push({ job, tell: await job.perform() });
      } catch (error) {
        job.fail(error);
        if (job.alone) this.#rollback();
      }
      if (this.#doomed || !this.#connection.inTransaction || job.alone) break;
    }
    try {
      if (done.length > 0) this.#commit();
      else this.#rollback();
    } catch (error) {
      this.#rollback();
      for (const { job } of done) job.fail(error);
      return;
    }
    const changed = this.#recorded && done.length > 0;
    for (const { tell } of done) tell();
    if (changed) this.#changed();
  }

  /** Runs a unit in a savepoint, its events with it. */
  async #unit<T>(work: (unit: WriteUnit) => Promise<T>): Promise<T> {
    const events: Pick<ChangeEvent, "kind" | "subject">[] = [];
    const db = this.#connection.db;
    this.#connection.exec("SAVEPOINT unit");
    try {
      const result = await work({ db, event: (kind, subject) => events.push({ kind, subject }) });
      await this.#record(events);
      if (!this.#connection.inTransaction) throw this.#lost();
      this.#connection.exec("RELEASE unit");
      return result;
    } catch (error) {
      this.#undoUnit();
      throw error;
    }
  }

  /** Undoes an unfinished unit alone; if that fails, nothing around it may be committed either. */
  #undoUnit(): void {
    if (!this.#connection.inTransaction) return;
    try {
      this.#connection.exec("ROLLBACK TO unit; RELEASE unit");
    } catch {
      this.#doomed = true;
    }
  }

  async #record(events: readonly Pick<ChangeEvent, "kind" | "subject">[]): Promise<void> {
    if (events.length === 0) return;
    const created_at = Math.floor(this.#clock.now() / 1000);
    for (let start = 0; start < events.length; start += MAX_GROUP) {
      const rows = events.slice(start, start + MAX_GROUP).map((event) => ({ ...event, created_at }));
      await this.#connection.db.insertInto("events").values(rows).execute();
    }
    this.#recorded = true;
  }

  #commit(): void {
    if (this.#doomed || !this.#connection.inTransaction) throw this.#lost();
    this.#connection.exec("COMMIT");
  }

  /** Forgets all that was not committed. SQLite may have done so by itself. */
  #rollback(): void {
    try {
      if (this.#connection.inTransaction) this.#connection.exec("ROLLBACK");
    } catch {
      // Whoever waits gets the error that led here; if the transaction is still open, the next one cannot begin.
    }
  }

  #lost(): AgentError {
    return new AgentError(
      "UNAVAILABLE",
      `SQLite database ${this.#connection.path} gave up the open transaction; nothing of it is stored`,
    );
  }
}
