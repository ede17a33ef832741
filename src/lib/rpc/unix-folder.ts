/** Whether a folder may hold a socket that others will trust: nobody else may put another one in its place. */
import { chmodSync, lstatSync, mkdirSync, realpathSync, type Stats, statSync } from "node:fs";
import { dirname } from "node:path";
import { publicError } from "../errors.ts";

const WRITABLE_BY_OTHERS = 0o022;
const STICKY = 0o1000;
const NEW_FOLDER_MODE = 0o755;

/**
 * Makes the folder (mode 0755, whatever the umask) if it is missing, and checks it and all above it. Throws
 * `FAILED_PRECONDITION` naming the folder and the rule, also when it cannot be made.
 *
 * The folder itself must be owned by root or by us and not be writable by others; sticky does not help, since
 * anybody could be first to take the socket's name. A folder above it may be writable by others only if it is
 * sticky, as `/tmp` is: then nobody else can move what is ours away.
 */
export function prepareSocketFolder(folder: string, ownUid: number): void {
  makeFolder(folder);
  const real = realpathSync(folder);
  const stats = statSync(real);
  if (!stats.isDirectory()) throw refuse(folder, "is not a folder");
  if ((stats.mode & WRITABLE_BY_OTHERS) !== 0) throw refuse(real, "is writable by others");
  checkChain(real, ownUid);
  // Also by the name that callers use: a link on the way must not be another's to turn elsewhere.
  if (real !== folder) checkChain(folder, ownUid);
}

function checkChain(folder: string, ownUid: number): void {
  for (let path = folder; ; path = dirname(path)) {
    const stats = lstatSync(path);
    checkOwner(path, stats, ownUid);
    if (stats.isDirectory() && (stats.mode & WRITABLE_BY_OTHERS) !== 0 && (stats.mode & STICKY) === 0) {
      throw refuse(path, "is writable by others");
    }
    if (path === dirname(path)) return;
  }
}

function makeFolder(folder: string): void {
  try {
    const missing: string[] = [];
    for (let path = folder; statSync(path, { throwIfNoEntry: false }) === undefined; path = dirname(path)) {
      missing.push(path);
    }
    for (const path of missing.reverse()) {
      mkdirSync(path, { mode: NEW_FOLDER_MODE });
      chmodSync(path, NEW_FOLDER_MODE);
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "unknown error";
    throw publicError("FAILED_PRECONDITION", `cannot create the socket folder ${folder}: ${code}`, { cause: error });
  }
}

function checkOwner(folder: string, stats: Stats, ownUid: number): void {
  if (stats.uid !== 0 && stats.uid !== ownUid) {
    throw refuse(folder, `is owned by uid ${stats.uid}, which is neither root nor this process`);
  }
}

function refuse(folder: string, rule: string): Error {
  return publicError(
    "FAILED_PRECONDITION",
    `${folder} on the way to the socket ${rule}, so that others could put their own socket in its place; use a folder such as /run/holdfast`,
  );
}
