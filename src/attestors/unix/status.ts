/** Reads who a process runs as from `/proc/<pid>/status`. */
import { AgentError } from "../../lib/errors.ts";

/** Numbers as seen from the agent's user namespace. */
export interface ProcessOwner {
  /** Effective. */
  readonly uid: number;
  /** Effective. */
  readonly gid: number;
  readonly supplementaryGids: readonly number[];
}

/**
 * The second number is the effective one (proc_pid_status(5)). Of what could end a line, the kernel escapes `\n` alone in
 * the name above, which is the process's to choose; the flag `m` would take `\r` for an end as well.
 */
const UID = /\nUid:\t\d+\t(\d+)\t/;
const GID = /\nGid:\t\d+\t(\d+)\t/;
const GROUPS = /\nGroups:\t([\d ]*)\n/;

/** Throws `MALFORMED` when a line is missing. */
export function parseStatus(content: Buffer): ProcessOwner {
  const text = content.toString("latin1");
  const uid = UID.exec(text)?.[1];
  const gid = GID.exec(text)?.[1];
  const groups = GROUPS.exec(text)?.[1];
  if (uid === undefined || gid === undefined || groups === undefined) {
    throw new AgentError("MALFORMED", "process status lacks its user or groups");
  }
  const supplementaryGids = groups.split(" ").filter((part) => part !== "");
  return { uid: Number(uid), gid: Number(gid), supplementaryGids: supplementaryGids.map(Number) };
}
