/** Queries that run at every write: kysely builds them once, since building costs more than SQLite's work on one row. */
import type { CompiledQuery, Kysely } from "kysely";
import type { Schema } from "./schema.ts";

/** Stands in a query for a value that each run brings. */
class Placeholder {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

/** Runs a query with its values; resolves to the rows it returns. */
export type HotQuery<P, R> = (db: Kysely<Schema>, values: P) => Promise<readonly R[]>;

/**
 * A query built at its first run on a database. `build` puts `value(name)` where a value goes; it must not look at
 * what it gets there, for that is a placeholder.
 */
export function hotQuery<P extends object, R = unknown>(
  build: (db: Kysely<Schema>, value: <K extends keyof P & string>(name: K) => P[K]) => { compile(): CompiledQuery<R> },
): HotQuery<P, R> {
  const built = new WeakMap<Kysely<Schema>, CompiledQuery<R>>();
  return async (db, values) => {
    let query = built.get(db);
    if (query === undefined) {
      query = build(db, (name) => new Placeholder(name) as unknown as P[typeof name]).compile();
      built.set(db, query);
    }
    const parameters = query.parameters.map((each) =>
      each instanceof Placeholder ? values[each.name as keyof P] : each,
    );
    return (await db.executeQuery<R>({ ...query, parameters })).rows;
  };
}
