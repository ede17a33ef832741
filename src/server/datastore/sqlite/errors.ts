/** What SQLite's result codes mean for the server: retry, restore, or a bug. */
import { AgentError, type ErrorCode } from "../../../lib/errors.ts";

/** `SQLITE_FULL`; the one failure that the caller may hear of, since an operator can mend it at once. */
const FULL = 13;

/** Primary result codes (https://sqlite.org/rescode.html) that are not bugs of ours. */
const CODES: ReadonlyMap<number, readonly [ErrorCode, string]> = new Map([
  [5, ["UNAVAILABLE", "is locked by another process"]],
  [6, ["UNAVAILABLE", "is locked"]],
  [7, ["UNAVAILABLE", "ran out of memory"]],
  [8, ["UNAVAILABLE", "is read-only"]],
  [10, ["UNAVAILABLE", "cannot be read or written"]],
  [11, ["DATA_LOSS", "is damaged"]],
  [FULL, ["UNAVAILABLE", "cannot grow: the disk is full"]],
  [14, ["UNAVAILABLE", "cannot be opened"]],
  [26, ["DATA_LOSS", "is not a SQLite database"]],
]);

/** `SQLITE_CONSTRAINT`; its extended codes say which. */
const CONSTRAINT = 19;

interface SqliteError extends Error {
  readonly code: "ERR_SQLITE_ERROR";
  readonly errcode: number;
}

/** The error to throw instead of one that SQLite raised on `path`: `UNAVAILABLE` or `DATA_LOSS` naming it; anything else as it is. */
export function translateError(error: unknown, path: string): unknown {
  if (!isSqliteError(error)) return error;
  const known = CODES.get(error.errcode & 0xff);
  if (known === undefined) return error;
  const [code, text] = known;
  const publicMessage = (error.errcode & 0xff) === FULL ? "datastore failed: the disk is full" : "datastore failed";
  return new AgentError(code, `SQLite database ${path} ${text}`, { cause: error, publicMessage });
}

/** Whether a unique index named in the message (`table.column`) refused a row. */
export function isUniqueViolation(error: unknown, column: string): boolean {
  return isSqliteError(error) && (error.errcode & 0xff) === CONSTRAINT && error.message.includes(column);
}

function isSqliteError(error: unknown): error is SqliteError {
  return error instanceof Error && "code" in error && error.code === "ERR_SQLITE_ERROR" && "errcode" in error;
}
