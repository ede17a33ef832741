/** Files that are either the old one or the new one, also after a crash in between; unusable ones are set aside. */
import { constants, lstat, open, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/**
 * Replaces a file: written beside it as `<path>.tmp`, flushed, renamed, the folder flushed. One writer at a time per
 * path. On failure the old file stands and the draft is gone.
 */
export async function writeFileAtomic(path: string, content: Uint8Array, mode: number): Promise<void> {
  const draft = `${path}.tmp`;
  // Left by a crash; a link that someone put there is removed, not followed.
  await rm(draft, { force: true });
  try {
    const file = await open(draft, "wx", mode);
    try {
      // The mode given to open(2) is cut by the umask; here it is exact.
      await file.chmod(mode);
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true }).catch(() => {});
    throw error;
  }
  await syncFolder(dirname(path));
}

/** Flushes a folder, so that a rename in it survives a power cut. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Renames a file that must not be used to `<path>.<why>-<ISO time>`, never over another one. Returns the new path. */
export async function setAside(path: string, why: string, now: number): Promise<string> {
  const wanted = `${path}.${why}-${new Date(now).toISOString()}`;
  let target = wanted;
  for (let count = 2; await exists(target); count++) target = `${wanted}-${count}`;
  await rename(path, target);
  await syncFolder(dirname(path));
  return target;
}

/** Removes all but the `keep` newest of the files that `setAside` made of this one, so that they cannot fill a disk. */
export async function pruneAside(path: string, keep: number): Promise<void> {
  const folder = dirname(path);
  const aside = (await readdir(folder))
    .flatMap((name) => {
      const time = name.startsWith(`${basename(path)}.`) ? ASIDE.exec(name)?.[1] : undefined;
      return time === undefined ? [] : [{ name, time }];
    })
    .sort((a, b) => (a.time < b.time ? 1 : -1));
  for (const { name } of aside.slice(keep)) await rm(join(folder, name), { force: true });
}

/** The time in the name of a file that was set aside, with the count that tells equal ones apart. */
const ASIDE = /\.[a-z-]+-(\d{4,6}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z(?:-\d+)?)$/;

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}
