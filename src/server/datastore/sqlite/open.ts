/** Opens the database file: makes a new one whole or not at all, and refuses what is damaged, foreign or newer without touching it. */
import { chmod, open, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { syncFolder } from "../../../lib/atomic-file.ts";
import { AgentError, errorCode } from "../../../lib/errors.ts";
import { Connection } from "./connection.ts";
import { APPLICATION_ID, MIGRATIONS } from "./migrations.ts";

/** First bytes of every SQLite 3 file (https://sqlite.org/fileformat.html, 1.3.1). */
const MAGIC = "SQLite format 3\0";
const HEADER_BYTES = 100;
const FILE_MODE = 0o600;

/** An open database: one connection that writes, one that reads what was committed. */
export interface OpenDatabase {
  readonly writer: Connection;
  readonly reader: Connection;
}

/**
 * Opens or creates the database at `path`, file mode 0600, and brings its schema up to date. Throws
 * `FAILED_PRECONDITION` when the folder is missing or not usable, `DATA_LOSS` when the file is damaged, foreign or
 * of a newer schema, `UNAVAILABLE` when it is locked or the disk fails. `migrations` is for tests.
 */
export async function openDatabase(path: string, migrations: readonly string[] = MIGRATIONS): Promise<OpenDatabase> {
  if (await exists(path)) {
    await inspect(path, migrations.length);
    await chmod(path, FILE_MODE).catch((error: unknown) => {
      throw fileError(error, `mode of datastore ${path} cannot be set to 0600`);
    });
  } else {
    await create(path, migrations);
  }
  const writer = new Connection(path, "writer");
  try {
    migrate(writer, migrations);
    return { writer, reader: new Connection(path, "reader") };
  } catch (error) {
    writer.close();
    throw error;
  }
}

/** Whether the file is there. Throws when it is no file, or when only its write-ahead log is. */
async function exists(path: string): Promise<boolean> {
  try {
    const info = await stat(path);
    if (!info.isFile()) throw new AgentError("FAILED_PRECONDITION", `datastore ${path} is not a regular file`);
    return true;
  } catch (error) {
    if (!isMissing(error)) throw fileError(error, `datastore ${path} cannot be read`);
  }
  const folder = dirname(path);
  try {
    if (!(await stat(folder)).isDirectory()) throw new AgentError("FAILED_PRECONDITION", `${folder} is not a folder`);
  } catch (error) {
    throw fileError(error, `folder ${folder} of the datastore cannot be used`);
  }
  const log = `${path}-wal`;
  const logSize = await stat(log).then(
    (info) => info.size,
    () => 0,
  );
  if (logSize > 0) {
    throw new AgentError(
      "DATA_LOSS",
      `datastore ${path} is missing, but its write-ahead log ${log} is there: put the database back, or move the log away to start with an empty one`,
    );
  }
  return false;
}

/** Builds the database under another name and renames it, so that `path` never names a half-made one. */
async function create(path: string, migrations: readonly string[]): Promise<void> {
  const draft = `${path}.new`;
  try {
    for (const suffix of ["", "-wal", "-shm", "-journal"]) await rm(`${draft}${suffix}`, { force: true });
    await (await open(draft, "wx", FILE_MODE)).close();
    const connection = new Connection(draft, "writer");
    try {
      migrate(connection, migrations);
    } finally {
      connection.close();
    }
    await using file = await open(draft, "r");
    await file.sync();
    await rename(draft, path);
    await syncFolder(dirname(path));
  } catch (error) {
    throw fileError(error, `datastore ${path} cannot be created`);
  }
}

/** Looks at an existing file through a connection that cannot write. */
async function inspect(path: string, version: number): Promise<void> {
  const header = await readHeader(path);
  if (header.length === 0) throw damaged(path, "it is empty");
  if (header.subarray(0, MAGIC.length).toString("latin1") !== MAGIC) throw damaged(path, "it is not a SQLite database");
  let connection: Connection | undefined;
  try {
    connection = new Connection(path, "reader");
    const application = connection.scalar("PRAGMA application_id");
    if (application !== APPLICATION_ID) throw foreign(path, connection);
    const stored = connection.scalar("PRAGMA user_version");
    if (typeof stored !== "number" || stored < 1) throw damaged(path, "it has no schema version");
    if (stored > version) {
      throw new AgentError(
        "DATA_LOSS",
        `datastore ${path} has schema version ${stored}, and this program knows versions up to ${version}: run the newer program, or restore a backup made by this one; nothing was changed`,
      );
    }
    const verdict = connection.scalar("PRAGMA quick_check(1)");
    if (verdict !== "ok") throw damaged(path, String(verdict));
  } catch (error) {
    if (errorCode(error) === "DATA_LOSS" && error instanceof AgentError && error.cause !== undefined) {
      throw damaged(path, error.message, error);
    }
    throw error;
  } finally {
    connection?.close();
  }
}

function foreign(path: string, connection: Connection): AgentError {
  const isSpire =
    connection.scalar("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'registered_entries'") === 1;
  const what = isSpire ? "a SPIRE server's database, which is not read here" : "another program's database";
  return new AgentError(
    "DATA_LOSS",
    `datastore ${path} is ${what}: give the server another file in connection_string; nothing was changed`,
  );
}

function migrate(connection: Connection, migrations: readonly string[]): void {
  const stored = Number(connection.scalar("PRAGMA user_version"));
  for (const [index, script] of migrations.entries()) {
    const version = index + 1;
    if (version <= stored) continue;
    connection.exec("BEGIN IMMEDIATE");
    try {
      connection.exec(script);
      connection.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${version}; COMMIT`);
    } catch (error) {
      if (connection.inTransaction) connection.exec("ROLLBACK");
      throw error;
    }
  }
}

async function readHeader(path: string): Promise<Buffer> {
  try {
    await using file = await open(path, "r");
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEADER_BYTES), 0, HEADER_BYTES, 0);
    return buffer.subarray(0, bytesRead);
  } catch (error) {
    throw fileError(error, `datastore ${path} cannot be read`);
  }
}

function damaged(path: string, reason: string, cause?: unknown): AgentError {
  return new AgentError(
    "DATA_LOSS",
    `datastore ${path} is damaged (${reason}): restore a backup, or move it away together with its -wal and -shm files to start with an empty one; nothing was changed`,
    { cause },
  );
}

function fileError(error: unknown, message: string): unknown {
  if (error instanceof AgentError) return error;
  return new AgentError("FAILED_PRECONDITION", message, { cause: error });
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
