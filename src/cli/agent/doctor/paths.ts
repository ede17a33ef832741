/** What there is at a path, looked at without changing anything. */
import { accessSync, constants, type Stats, statSync } from "node:fs";
import { dirname } from "node:path";
import { errnoOf } from "./words.ts";

/** What stands at a path where a folder is wanted. */
export type FolderState =
  | { readonly kind: "folder"; readonly uid: number; readonly gid: number; readonly mode: number }
  | { readonly kind: "not-a-folder" }
  /** `above` is the nearest folder that is there. */
  | { readonly kind: "missing"; readonly above: string }
  /** It could not be looked at. */
  | { readonly kind: "hidden"; readonly errno: string };

/** Looks at a folder, and at those above it where it is missing. */
export function folderState(path: string): FolderState {
  try {
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats === undefined) return { kind: "missing", above: nearestAbove(path) };
    if (!stats.isDirectory()) return { kind: "not-a-folder" };
    return { kind: "folder", uid: stats.uid, gid: stats.gid, mode: stats.mode };
  } catch (error) {
    return errnoOf(error) === "ENOTDIR" ? { kind: "not-a-folder" } : { kind: "hidden", errno: errnoOf(error) };
  }
}

/** Why this user may not read, write and enter a folder, as an errno name; `undefined` when it may. */
export function useRefused(path: string): string | undefined {
  try {
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    return errnoOf(error);
  }
}

/** The same for making something in a folder. */
export function makeRefused(path: string): string | undefined {
  try {
    accessSync(path, constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    return errnoOf(error);
  }
}

/** Whether others may write: our own groups do not count, as they do not for `storage.ts`, for Kubernetes gives them volumes. */
export function isOpenToOthers({ mode, gid }: { readonly mode: number; readonly gid: number }): boolean {
  const isOurs = gid === process.getegid?.() || process.getgroups?.().includes(gid) === true;
  return (mode & 0o002) !== 0 || ((mode & 0o020) !== 0 && !isOurs);
}

/** The first folder from `path` upwards that not everybody may enter; `undefined` when all may be entered. */
export function closedFolder(path: string): { readonly path: string; readonly mode: number } | undefined {
  for (let here = path; ; here = dirname(here)) {
    const stats = statOf(here);
    if (stats?.isDirectory() && (stats.mode & 0o001) === 0) return { path: here, mode: stats.mode };
    if (here === dirname(here)) return undefined;
  }
}

function nearestAbove(path: string): string {
  let here = dirname(path);
  while (here !== dirname(here) && statOf(here) === undefined) here = dirname(here);
  return here;
}

function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}
