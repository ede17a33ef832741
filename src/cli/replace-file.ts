/** Writes a file for another program to read: whole or not at all, with the mode it is meant to have. */
import { renameSync, rmSync, writeFileSync } from "node:fs";

/** Replaces the file in one step. A mode that the old file had does not last: a key stays its owner's. */
export function replaceFile(path: string, content: string, mode: number): void {
  const temporary = `${path}.tmp-${process.pid}`;
  try {
    writeFileSync(temporary, content, { mode, flag: "wx" });
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}
