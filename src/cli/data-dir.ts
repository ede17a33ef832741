/** Takes possession of a data folder: it exists, is ours to write, and no other process uses it. */
import { accessSync, constants, existsSync, mkdirSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { AgentError } from "../lib/errors.ts";
import type { FileLock, FileLocker } from "../lib/native.ts";

/** The file in a data folder whose lock shows that a program uses it. */
export const LOCK_FILE = ".holdfast.lock";

/**
 * Creates the folder if need be (mode 0700) and locks it until the process ends. Throws `FAILED_PRECONDITION`
 * when it is no folder or cannot be written to, `IN_USE` when another process holds it.
 */
export function claimDataDir(path: string, program: string, native: FileLocker): FileLock {
  try {
    makeFolder(resolve(path));
    if (!statSync(path).isDirectory()) throw new AgentError("FAILED_PRECONDITION", `data_dir ${path} is not a folder`);
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    if (error instanceof AgentError) throw error;
    throw new AgentError(
      "FAILED_PRECONDITION",
      `data_dir ${path} cannot be used: ${(error as NodeJS.ErrnoException).code}; it must be a folder that this user may write to`,
      { cause: error },
    );
  }
  const lock = native.lockFile(join(path, LOCK_FILE));
  if (lock === undefined)
    throw new AgentError("IN_USE", `data_dir ${path} is in use by another ${program}; each needs a folder of its own`);
  return lock;
}

/** As `mkdir -p`. Node's own recursive mode never returns where the kernel refuses a folder with ENOENT, as in `/proc`. */
function makeFolder(path: string): void {
  if (existsSync(path)) return;
  makeFolder(dirname(path));
  mkdirSync(path, { mode: 0o700 });
}
