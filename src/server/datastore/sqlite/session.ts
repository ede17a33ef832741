/** What the stores work on: the database at large, or one transaction in it. */
import type { Kysely } from "kysely";
import type { Schema } from "./schema.ts";
import type { Write } from "./writer.ts";

/** Reads and writes. Outside of a transaction, reads see what was committed. */
export interface Session {
  readonly read: Kysely<Schema>;
  readonly write: Write;
}
