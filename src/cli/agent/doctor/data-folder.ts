/** Checks `data_folder` and `key_folder`: whether the agent can keep what must survive a restart. */
import { statfsSync } from "node:fs";
import { fail, ok, type Verdict, warn } from "./check.ts";
import { type FolderState, folderState, isOpenToOthers, makeRefused, useRefused } from "./paths.ts";
import type { LockState } from "./running.ts";
import { modeText, userText } from "./words.ts";

/** A folder and the file system below it. */
export interface DataFolderFacts {
  /** Absolute. */
  readonly path: string;
  /** The configuration's name for it: `data_dir`. */
  readonly key: string;
  /** Whose agent it is. */
  readonly uid: number;
  readonly folder: FolderState;
  /** Why it cannot be used, or not be made, as an errno name. */
  readonly refused: string | undefined;
  readonly freeBytes: number | undefined;
  /** Whether others than the owner and our own groups may write to it. */
  readonly isOpen: boolean;
  /** Absent where no lock is kept. */
  readonly lock?: LockState;
}

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
/** A bundle of a thousand authorities, written beside the old one. */
const ENOUGH = 16 * MIB;
/** What an agent SVID and a usual bundle need. */
const LEAST = MIB;

/** Looks at the folder; makes nothing. */
export function dataFolderFacts(path: string, key: string, uid: number, lock?: LockState): DataFolderFacts {
  const folder = folderState(path);
  const place = folder.kind === "missing" ? folder.above : path;
  return {
    path,
    key,
    uid,
    folder,
    refused: folder.kind === "missing" ? makeRefused(place) : useRefused(path),
    freeBytes: freeBytes(place),
    isOpen: folder.kind === "folder" && isOpenToOthers(folder),
    ...(lock === undefined ? {} : { lock }),
  };
}

function freeBytes(path: string): number | undefined {
  try {
    const { bavail, blocks, bsize } = statfsSync(path);
    // A file system without bounds tells none.
    return blocks === 0 ? undefined : bavail * bsize;
  } catch {
    return undefined;
  }
}

/** Decides. */
export function judgeDataFolder(facts: DataFolderFacts): Verdict {
  const { path, key, uid, folder, refused, freeBytes: free, lock } = facts;
  const user = userText(uid);
  if (folder.kind === "not-a-folder") return fail(`${path} is not a folder`, `move it away, or choose another ${key}`);
  if (folder.kind === "hidden") {
    return fail(`${path} cannot be looked at: ${folder.errno}`, `let ${user} enter the folders above it`);
  }
  if (refused !== undefined) {
    const isReadOnly = refused === "EROFS";
    const found =
      folder.kind === "missing"
        ? `${path} is missing and cannot be made in ${folder.above}: ${refused}`
        : `${path} cannot be used: ${refused}${isReadOnly ? "" : `; it belongs to ${userText(folder.uid)} and has mode ${modeText(folder.mode)}`}`;
    const mend = isReadOnly
      ? `its file system is read-only: mount a writable one, or choose another ${key}`
      : folder.kind === "missing"
        ? `make it for ${user} with mode 0700 (systemd: StateDirectory=)`
        : `let it belong to ${user}, with mode 0700`;
    return fail(found, mend);
  }
  const space = free === undefined ? "" : `, ${bytesText(free)} free`;
  const state =
    folder.kind === "missing"
      ? "will be made"
      : lock === "held"
        ? "an agent is running with it"
        : `belongs to ${userText(folder.uid)}, mode ${modeText(folder.mode)}`;
  const found = `${path}: ${state}${space}`;
  if (free !== undefined && free < LEAST) return fail(found, "make room: the agent could not store its SVID");
  return judgeOthers(facts, found) ?? (free !== undefined && free < ENOUGH ? warn(found, "make room soon") : ok(found));
}

function judgeOthers({ path, uid, folder, isOpen }: DataFolderFacts, found: string): Verdict | undefined {
  if (folder.kind !== "folder") return undefined;
  if (isOpen) {
    return warn(
      `${path} has mode ${modeText(folder.mode)}: others may write to it`,
      `chmod 0700 ${path}, or they can remove what the agent stores`,
    );
  }
  if (folder.uid === uid || folder.uid === 0) return undefined;
  return warn(
    `${found}, and not to ${userText(uid)}`,
    "its owner can remove what the agent stores: let it belong to the agent",
  );
}

function bytesText(bytes: number): string {
  return bytes >= GIB ? `${(bytes / GIB).toFixed(1)} GiB` : `${Math.floor(bytes / MIB)} MiB`;
}
