/** Ports of workload attestation: the calling process, and what attestors find out about it. */
import type { Selector } from "../spiffe/selector.ts";

/** Which file a process executes; two processes run the same program only if all of it is equal. */
export interface ExecutableIdentity {
  readonly device: bigint;
  readonly inode: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

/** The process at the other end of a connection, as the kernel named it when it connected. */
export interface WorkloadPeer {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups at the time of the connection. */
  readonly groups: readonly number[];
  /** False once the process has exited; never true again, also when the pid is reused. */
  isAlive(): boolean;
  /** Reads a small file below the process's own `/proc` directory, such as `status`. Throws when the process is gone. */
  readProc(name: string): Buffer;
  /** The link text of the executable, in the process's own mount namespace. */
  executablePath(): string;
  /** The file being executed now. */
  executable(): ExecutableIdentity;
  /** An open read-only descriptor of the file being executed; the caller closes it. */
  openExecutable(): number;
}

/** Finds out selectors of one kind. */
export interface WorkloadAttestor {
  /** The plugin name and selector type, such as `unix`. */
  readonly name: string;
  attest(peer: WorkloadPeer, signal: AbortSignal): Promise<readonly Selector[]>;
}
