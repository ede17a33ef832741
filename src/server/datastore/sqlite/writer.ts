/**
 * The one writer of the database. Writes queue up; those that wait together share one commit, and with it one
 * fsync. Each is stored whole, or leaves nothing: a single write is one unit, a transaction may have several. They run
 * one after the other, each on what those before it wrote, and nobody hears how it went before the commit.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Kysely } from "kysely";
import type { Clock } from "../../../lib/clock.ts";
import { AgentError, errorCode } from "../../../lib/errors.ts";
import { turn } from "../../../lib/turn.ts";
import type { ChangeEvent } from "../datastore.ts";
import type { Connection } from "./connection.ts";
import { hotQuery } from "./hot-query.ts";
import type { Schema } from "./schema.ts";

/** Most writes that share a commit: some milliseconds of work. */
const MAX_GROUP = 64;

/** What a write works with. */
export interface WriteUnit {
  readonly db: Kysely<Schema>;
  /** Records a change, stored with the unit. */
  readonly event: (kind: ChangeEvent["kind"], subject: string) => void;
}

type StoredEvent = Pick<ChangeEvent, "kind" | "subject">;

const insertEvent = hotQuery<StoredEvent & { readonly created_at: number }>((db, value) =>
  db.insertInto("events").values({ kind: value("kind"), subject: value("subject"), created_at: value("created_at") }),
);

/** Runs a write as one unit. */
export type Write = <T>(work: (unit: WriteUnit) => Promise<T>) => Promise<T>;

/** A write in the queue. */
interface Job {
  /** Does the work; returns how to tell the caller once the commit is done. */
  perform(): Promise<() => void>;
  fail(error: unknown): void;
}

/** What became of a job, if the commit succeeds. */
interface Outcome {
  readonly job: Job;
  readonly tell: () => void;
  /** Why the job failed, if it did. */
  readonly error?: unknown;
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
    return this.#enqueue(() => this.#savepoint("unit", () => this.#unit(work)));
  }

  /** Stores all units that `work` makes through the `write` it gets, or none; may share its commit with others. */
  transaction<T>(work: (write: Write, db: () => Kysely<Schema>) => Promise<T>): Promise<T> {
    const whole = async (): Promise<T> => {
      const scope = { open: true };
      let last: Promise<unknown> = Promise.resolve();
      const check = (): void => {
        if (!scope.open) throw new Error("this transaction is over");
        if (this.#doomed || !this.#connection.inTransaction) throw this.#lost();
      };
      const write: Write = (unitWork) => {
        const result = last.then(() => {
          check();
          return this.#savepoint("unit", () => this.#unit(unitWork));
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
    };
    return this.#enqueue(() => this.#savepoint("whole", whole));
  }

  /** Refuses new writes and waits for those that were accepted. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
  }

  #enqueue<T>(work: () => Promise<T>): Promise<T> {
    if (this.#inside.getStore()?.open === true) {
      return Promise.reject(new Error("a write outside of the transaction that is open here would wait for itself"));
    }
    if (this.#closed) return Promise.reject(new AgentError("UNAVAILABLE", "the datastore is closed"));
    return new Promise<T>((resolve, reject) => {
      const perform = async (): Promise<() => void> => {
        const result = await work();
        return () => resolve(result);
      };
      this.#queue.push({ perform, fail: reject });
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

  /** Takes jobs from the queue's head and commits them together. */
  async #commitGroup(): Promise<void> {
    this.#recorded = false;
    this.#doomed = false;
    try {
      this.#connection.exec("BEGIN IMMEDIATE");
    } catch (error) {
      // Each attempt may wait for a lock in the foreground, so nobody else tries in this round.
      for (const job of this.#queue.splice(0)) job.fail(error);
      return;
    }
    const outcomes = await this.#performGroup();
    const stored = outcomes.some((outcome) => !("error" in outcome));
    try {
      if (stored) this.#commit();
      else this.#rollback();
    } catch (error) {
      this.#rollback();
      for (const outcome of outcomes) outcome.job.fail(verdictWithout(outcome, error));
      return;
    }
    for (const { tell } of outcomes) tell();
    if (this.#recorded && stored) this.#changed();
  }

  async #performGroup(): Promise<readonly Outcome[]> {
    const outcomes: Outcome[] = [];
    while (outcomes.length < MAX_GROUP && !this.#doomed && this.#connection.inTransaction) {
      const job = this.#queue.shift();
      if (job === undefined) break;
      const recorded = this.#recorded;
      try {
        outcomes.push({ job, tell: await job.perform() });
      } catch (error) {
        this.#recorded = recorded;
        outcomes.push({ job, tell: () => job.fail(error), error });
      }
    }
    return outcomes;
  }

  /** Does all of `work` or, when it throws, nothing of it. */
  async #savepoint<T>(name: "unit" | "whole", work: () => Promise<T>): Promise<T> {
    this.#connection.exec(`SAVEPOINT ${name}`);
    try {
      const result = await work();
      if (this.#doomed || !this.#connection.inTransaction) throw this.#lost();
      this.#connection.exec(`RELEASE ${name}`);
      return result;
    } catch (error) {
      this.#undo(name);
      throw error;
    }
  }

  /** Undoes unfinished work alone; if that fails, nothing around it may be committed either. */
  #undo(name: "unit" | "whole"): void {
    if (!this.#connection.inTransaction) return;
    try {
      this.#connection.exec(`ROLLBACK TO ${name}; RELEASE ${name}`);
    } catch {
      this.#doomed = true;
    }
  }

  /** A unit and its events. */
  async #unit<T>(work: (unit: WriteUnit) => Promise<T>): Promise<T> {
    const events: StoredEvent[] = [];
    const result = await work({
      db: this.#connection.db,
      event: (kind, subject) => events.push({ kind, subject }),
    });
    await this.#record(events);
    return result;
  }

  async #record(events: readonly StoredEvent[]): Promise<void> {
    if (events.length === 0) return;
    const created_at = Math.floor(this.#clock.now() / 1000);
    for (const event of events) await insertEvent(this.#connection.db, { ...event, created_at });
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

/**
 * What a job hears when its group was lost. A refusal may rest on what another job of the group wrote, which is gone,
 * so that only the database's own failure stands.
 */
function verdictWithout(outcome: Outcome, lost: unknown): unknown {
  const code = errorCode(outcome.error);
  return code === "UNAVAILABLE" || code === "DATA_LOSS" ? outcome.error : lost;
}
