/** Join tokens in SQLite, by hash: the rows alone spend none. */
import { createHash } from "node:crypto";
import { publicError } from "../../../lib/errors.ts";
import type { JoinTokenStore } from "../datastore.ts";
import { isUniqueViolation } from "./errors.ts";
import { hotQuery } from "./hot-query.ts";
import type { JoinTokenTable } from "./schema.ts";
import type { Session } from "./session.ts";

const insertToken = hotQuery<JoinTokenTable>((db, value) =>
  db.insertInto("join_tokens").values({ token_hash: value("token_hash"), expires_at: value("expires_at") }),
);

const spendToken = hotQuery<Pick<JoinTokenTable, "token_hash">, Pick<JoinTokenTable, "expires_at">>((db, value) =>
  db.deleteFrom("join_tokens").where("token_hash", "=", value("token_hash")).returning("expires_at"),
);

export class SqliteJoinTokenStore implements JoinTokenStore {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  create(token: string, expiresAt: number): Promise<void> {
    return this.#session.write(async ({ db }) => {
      await insertToken(db, { token_hash: hash(token), expires_at: expiresAt }).catch((error: unknown) => {
        if (!isUniqueViolation(error, "join_tokens.token_hash")) throw error;
        throw publicError("ALREADY_EXISTS", "join token already exists");
      });
    });
  }

  consume(token: string): Promise<{ readonly expiresAt: number } | undefined> {
    return this.#session.write(async ({ db }) => {
      const [spent] = await spendToken(db, { token_hash: hash(token) });
      return spent && { expiresAt: spent.expires_at };
    });
  }

  prune(now: number): Promise<number> {
    return this.#session.write(async ({ db }) => {
      const result = await db.deleteFrom("join_tokens").where("expires_at", "<", now).executeTakeFirst();
      return Number(result.numDeletedRows);
    });
  }
}

function hash(token: string): Uint8Array {
  return new Uint8Array(createHash("sha256").update(token).digest());
}
