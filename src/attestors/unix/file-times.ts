/** Whether the times of a file tell that its content has changed. */
import { statfs } from "node:fs/promises";

/**
 * File systems that set a file's times whenever its content changes, also through a shared mapping (statfs(2)): ext,
 * XFS, Btrfs, F2FS, bcachefs, and overlay, which passes on those of the file below; and those that are never written.
 * Not tmpfs, which leaves the times alone when a mapping is written to; nor FUSE and network file systems, whose times
 * are whatever their server says.
 */
const KEEP_TIMES: ReadonlySet<bigint> = new Set([
  0xef53n,
  0x5846_5342n,
  0x9123_683en,
  0xf2f5_2010n,
  0xca45_1a4en,
  0x794c_7630n,
  0x7371_7368n,
  0xe0f5_e1e2n,
  0x9660n,
]);

/** Asks of an open file. False if its file system cannot be found out. */
export async function timesTellOfChanges(fd: number): Promise<boolean> {
  try {
    const { type } = await statfs(`/proc/self/fd/${fd}`, { bigint: true });
    return KEEP_TIMES.has(BigInt.asUintN(32, type));
  } catch {
    return false;
  }
}
