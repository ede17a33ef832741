/** Whether a folder may hold a socket that others will trust: nobody else may put another one in its place. */
import { chmodSync, lstatSync, mkdirSync, readlinkSync, type Stats, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { publicError } from "../errors.ts";

const WRITABLE_BY_OTHERS = 0o022;
const STICKY = 0o1000;
/** As many links as the kernel follows. */
const MOST_LINKS = 40;

/** Who may own what the way to a socket leads through. */
export interface TrustedOwners {
  /** Users besides root. */
  readonly uids: readonly number[];
  /** Whether anybody may write to folders above, as to `/tmp`, if they are sticky: nobody can move away what is another's. */
  readonly sticky: boolean;
}

/**
 * Makes the folder (of that mode, whatever the umask) if it is missing, and checks it and the whole way to it: each folder
 * and each link that is passed. Throws `FAILED_PRECONDITION` naming the folder and the rule, also when it cannot be made.
 *
 * The folder itself must be owned by root or by us and not be writable by others; sticky does not help, since
 * anybody could be first to take the socket's name. A folder above it may be writable by others only if it is
 * sticky, as `/tmp` is: then nobody else can move what is ours away. What is missing is made only once the way to it
 * is known to be such, or somebody could turn us elsewhere meanwhile.
 */
export function prepareSocketFolder(folder: string, mode: number, ownUid: number): void {
  const owners: TrustedOwners = { uids: [ownUid], sticky: true };
  try {
    const missing: string[] = [];
    for (let path = folder; statSync(path, { throwIfNoEntry: false }) === undefined; path = dirname(path)) {
      missing.push(path);
    }
    walk(missing.length === 0 ? folder : dirname(missing.at(-1) ?? folder), owners);
    for (const path of missing.reverse()) {
      mkdirSync(path, { mode });
      chmodSync(path, mode);
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Our own refusals have a code too, but are no system's.
    if (!(error instanceof Error) || !("syscall" in error)) throw error;
    throw publicError("FAILED_PRECONDITION", `cannot create the socket folder ${folder}: ${code ?? "unknown error"}`, {
      cause: error,
    });
  }
  checkSocketFolder(folder, owners);
}

/** Checks a folder that is there, and the whole way to it. Throws `FAILED_PRECONDITION` naming the folder and the rule. */
export function checkSocketFolder(folder: string, owners: TrustedOwners): void {
  const real = walk(folder, owners);
  const stats = statSync(real);
  if (!stats.isDirectory()) throw refuse(folder, "is not a folder");
  if ((stats.mode & WRITABLE_BY_OTHERS) !== 0) throw refuse(real, "is writable by others");
}

/** Goes to a path as the kernel does, checks all that it passes, and returns where it arrives. */
function walk(path: string, owners: TrustedOwners): string {
  const ahead = namesOf(path);
  let links = 0;
  let here = "/";
  check(here, lstatSync(here), owners);
  for (let name = ahead.shift(); name !== undefined; name = ahead.shift()) {
    if (name === "..") {
      here = dirname(here);
      continue;
    }
    const next = join(here, name);
    const stats = lstatSync(next);
    check(next, stats, owners);
    if (!stats.isSymbolicLink()) {
      here = next;
      continue;
    }
    if (++links > MOST_LINKS) throw refuse(path, "leads through too many links");
    const target = readlinkSync(next);
    ahead.unshift(...namesOf(target));
    if (target.startsWith("/")) here = "/";
  }
  return here;
}

function namesOf(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}

function check(path: string, stats: Stats, { uids, sticky }: TrustedOwners): void {
  if (stats.uid !== 0 && !uids.includes(stats.uid)) {
    throw refuse(path, `is owned by uid ${stats.uid}, which is neither root nor uid ${uids.join(" or ")}`);
  }
  const isKept = sticky && (stats.mode & STICKY) !== 0;
  if (stats.isDirectory() && (stats.mode & WRITABLE_BY_OTHERS) !== 0 && !isKept) {
    throw refuse(path, "is writable by others");
  }
}

function refuse(folder: string, rule: string): Error {
  return publicError(
    "FAILED_PRECONDITION",
    `${folder} on the way to the socket ${rule}, so that others could put their own socket in its place; use a folder such as /run/holdfast`,
  );
}
