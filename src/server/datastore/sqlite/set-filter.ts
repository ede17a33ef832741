/** Compares a stored set (selectors, federated trust domains) with a given one, in SQL. */
import { type RawBuilder, type SqlBool, sql } from "kysely";
import { publicError } from "../../../lib/errors.ts";
import type { SetMatch } from "../datastore.ts";

/** Largest set in a filter; SQLite binds at most 32,766 values per statement. */
const MAX_SET = 1_000;

/** Where the members of a set are: one row each, referring to the `seq` of its owner's row. */
const SETS = {
  entry_selectors: { owner: "entry", ownerSeq: "entries.seq", member: "selector" },
  entry_federates: { owner: "entry", ownerSeq: "entries.seq", member: "trust_domain" },
  node_selectors: { owner: "node", ownerSeq: "nodes.seq", member: "selector" },
} as const;

/**
 * The condition that the set of the row `seq` matches `members`, as SPIRE compares: `exact` the same set, `subset` a
 * non-empty part of the given one, `superset` all of the given ones at least, `any` one of them at least. Throws
 * `INVALID_ARGUMENT` for an empty or oversized set.
 */
export function matchesSet(table: keyof typeof SETS, members: readonly string[], match: SetMatch): RawBuilder<SqlBool> {
  const wanted = [...new Set(members)];
  if (wanted.length === 0) throw publicError("INVALID_ARGUMENT", "a filter by a set needs at least one member");
  if (wanted.length > MAX_SET) throw publicError("INVALID_ARGUMENT", `a filter's set has more than ${MAX_SET} members`);
  const rows = sql.table(table);
  const seq = sql.ref(SETS[table].ownerSeq);
  const owner = sql.ref(SETS[table].owner);
  const member = sql.ref(SETS[table].member);
  const list = sql.join(wanted);
  const any = sql<SqlBool>`${seq} in (select ${owner} from ${rows} where ${member} in (${list}))`;
  const all = sql<SqlBool>`${seq} in (select ${owner} from ${rows} where ${member} in (${list}) group by ${owner} having count(*) = ${wanted.length})`;
  const nothingElse = sql<SqlBool>`not exists (select 1 from ${rows} where ${owner} = ${seq} and ${member} not in (${list}))`;
  switch (match) {
    case "any":
      return any;
    case "superset":
      return all;
    case "subset":
      return sql<SqlBool>`(${any} and ${nothingElse})`;
    case "exact":
      return sql<SqlBool>`(${all} and ${nothingElse})`;
  }
}
