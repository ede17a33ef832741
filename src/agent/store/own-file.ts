/** Reads files that only we, or root, may have written. */
import { constants, type FileHandle, open } from "node:fs/promises";
import type { Unusable } from "../agent-data.ts";

const WRITABLE_BY_GROUP = 0o020;
const WRITABLE_BY_ALL = 0o002;
const NOT_PRIVATE = 0o077;

/** Bounds of a file that is read. */
export interface OwnFileOptions {
  readonly maxBytes: number;
  /** Called when others may have read it. */
  readonly onReadable?: () => void;
}

/** The content of a regular file that belongs to us or root and to which nobody else may write; undefined when there is none. */
export async function readOwnFile(path: string, options: OwnFileOptions): Promise<Buffer | Unusable | undefined> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    if (code === "ELOOP") return { why: "foreign", reason: "it is a symbolic link" };
    throw error;
  }
  try {
    const stats = await file.stat();
    if (!stats.isFile()) return { why: "foreign", reason: "it is not a regular file" };
    if (!isOurs(stats)) return { why: "foreign", reason: "it belongs to another user" };
    if (isWritableByOthers(stats)) return { why: "foreign", reason: "others may write to it" };
    if ((stats.mode & NOT_PRIVATE) !== 0) options.onReadable?.();
    if (stats.size > options.maxBytes) return { why: "damaged", reason: "it is too long" };
    return await file.readFile();
  } finally {
    await file.close();
  }
}

/** Whether it belongs to us or to root. */
export function isOurs({ uid }: { readonly uid: number }): boolean {
  return uid === 0 || uid === process.getuid?.();
}

/** Our own group does not count: Kubernetes gives volumes to the pod's group, and lets it write (`fsGroup`). */
export function isWritableByOthers({ mode, gid }: { readonly mode: number; readonly gid: number }): boolean {
  if ((mode & WRITABLE_BY_ALL) !== 0) return true;
  return (
    (mode & WRITABLE_BY_GROUP) !== 0 && gid !== process.getegid?.() && process.getgroups?.().includes(gid) !== true
  );
}
