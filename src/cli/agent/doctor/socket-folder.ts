/** Checks `socket_folder` and `admin_socket_folder`: whether the agent's listener will accept the place of its socket. */

import { dirname } from "node:path";
import { errorText } from "../../../lib/errors.ts";
import { checkSocketFolder } from "../../../lib/rpc/unix-folder.ts";
import { MAX_PATH_BYTES, NESTED } from "../../../lib/rpc/unix-listener.ts";
import { fail, ok, type Verdict, warn } from "./check.ts";
import { closedFolder, type FolderState, folderState, makeRefused } from "./paths.ts";
import type { LockState, SocketOccupant } from "./running.ts";
import { errnoOf, modeText, userText } from "./words.ts";

/** The configuration key that names a socket. */
type SocketKey = "socket_path" | "admin_socket_path";

/** What the listener would meet. */
export interface SocketFacts {
  /** Absolute. */
  readonly path: string;
  /** Whose agent it is. */
  readonly uid: number;
  readonly folder: FolderState;
  /** What the rules for folders of sockets object to; `undefined` when nothing. */
  readonly refusal: string | undefined;
  /** Why nothing can be made in the folder, or above where it is missing, as an errno name. */
  readonly unwritable: string | undefined;
  /** A folder on the way that not every user may enter. */
  readonly closed: { readonly path: string; readonly mode: number } | undefined;
  readonly occupant: SocketOccupant;
  readonly lock: LockState;
}

/** Looks at the folder as the listener would, and makes nothing. */
export function socketFacts(path: string, uid: number, occupant: SocketOccupant, lock: LockState): SocketFacts {
  const folderPath = dirname(path);
  const folder = folderState(folderPath);
  const place = folder.kind === "missing" ? folder.above : folderPath;
  return {
    path,
    uid,
    folder,
    refusal: folderRefusal(folderPath, uid),
    unwritable: makeRefused(place),
    closed: closedFolder(folderPath),
    occupant,
    lock,
  };
}

function folderRefusal(folder: string, uid: number): string | undefined {
  try {
    checkSocketFolder(folder, { uids: [uid], sticky: true });
    return undefined;
  } catch (error) {
    // Everything on the way was checked before what is missing was reached.
    return errnoOf(error) === "ENOENT" ? undefined : errorText(error);
  }
}

/** Decides on the Workload API's socket. */
export function judgeSocket(facts: SocketFacts): Verdict {
  return judgePlace(facts, "socket_path") ?? judgeReach(facts);
}

/** Decides on the administration socket, which only its owner and its group are to reach. */
export function judgeAdminSocket(facts: SocketFacts): Verdict {
  return judgePlace(facts, "admin_socket_path") ?? ok(stateText(facts));
}

function judgePlace(facts: SocketFacts, key: SocketKey): Verdict | undefined {
  const { path } = facts;
  const excess = excessBytes(path);
  if (excess > 0) return fail(`${path} is ${excess} bytes too long for a Unix socket`, `choose a shorter ${key}`);
  return judgeFolder(facts, key) ?? judgeOccupant(facts, key);
}

function excessBytes(path: string): number {
  return Math.max(Buffer.byteLength(path), Buffer.byteLength(dirname(path)) + NESTED) - MAX_PATH_BYTES;
}

function judgeFolder({ path, uid, folder, refusal, unwritable }: SocketFacts, key: SocketKey): Verdict | undefined {
  const name = dirname(path);
  const alternative = `or name ${article(key)} in a folder such as /run/holdfast`;
  if (folder.kind === "not-a-folder") return fail(`${name} is not a folder`, `remove it, ${alternative}`);
  if (folder.kind === "hidden") {
    return fail(`${name} cannot be looked at: ${folder.errno}`, `let ${userText(uid)} enter the folders above it`);
  }
  if (refusal !== undefined) {
    const owner = uid === 0 ? "root" : `root or ${userText(uid)}`;
    return fail(
      refusal.split("; ")[0] ?? refusal,
      `if the agent alone uses it, let it belong to ${owner} and nobody else write to it (chown, chmod go-w); else name ${article(key)} in a folder of its own, such as /run/holdfast`,
    );
  }
  if (unwritable === undefined) return undefined;
  return folder.kind === "missing"
    ? fail(
        `${name} is missing and cannot be made in ${folder.above}: ${unwritable}`,
        `make it for ${userText(uid)} (systemd: RuntimeDirectory=), ${alternative}`,
      )
    : fail(`no socket can be made in ${name}: ${unwritable}`, `let it belong to ${userText(uid)}, ${alternative}`);
}

function judgeOccupant({ path, occupant, lock }: SocketFacts, key: SocketKey): Verdict | undefined {
  if (occupant.kind === "not-a-socket") {
    return fail(`${path} exists and is not a socket`, `move it away, or choose another ${key}`);
  }
  if (occupant.kind === "hidden") {
    return fail(
      `${path} cannot be connected to: ${occupant.errno}`,
      "check who made it; the agent would not replace it",
    );
  }
  if (occupant.kind !== "served" || lock !== "free") return undefined;
  const who = occupant.by === undefined ? "another process" : `pid ${occupant.by.pid} of ${userText(occupant.by.uid)}`;
  return fail(`${path} is served by ${who}, which is no agent with this data_dir`, `stop it, or choose another ${key}`);
}

function judgeReach(facts: SocketFacts): Verdict {
  const { closed } = facts;
  const found = stateText(facts);
  // A folder that is made is open to all, but not what is above it.
  if (closed === undefined) return ok(found);
  return warn(
    `${found}; ${closed.path} has mode ${modeText(closed.mode)}`,
    `workloads of other users cannot enter it: chmod o+x ${closed.path}, unless that is wanted`,
  );
}

function stateText({ path, folder, occupant, lock }: SocketFacts): string {
  if (occupant.kind === "served")
    return `${path}: ${lock === "held" ? "an agent is running and serves it" : "it is served"}`;
  if (occupant.kind === "stale") return `${path}: left by an agent that ended, which will be replaced`;
  return `${path}: ${folder.kind === "missing" ? "its folder will be made" : "nobody serves it yet"}`;
}

function article(key: SocketKey): string {
  return key === "socket_path" ? "a socket_path" : "an admin_socket_path";
}
