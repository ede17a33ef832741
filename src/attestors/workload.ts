/** Ports of workload attestation: the calling process, and what attestors find out about it. */
import type { ExecutableIdentity, ProcFile } from "../lib/native.ts";
import type { Selector } from "../spiffe/selector.ts";

/**
 * The process at the other end of a connection, as the kernel named it when it connected. Reads throw when the
 * process is gone; what they gave holds only if {@link isUnchanged} still says so afterwards.
 */
export interface WorkloadPeer {
  readonly pid: number;
  /** Effective uid at the time of the connection. */
  readonly uid: number;
  /** Effective gid at the time of the connection. */
  readonly gid: number;
  /** Supplementary groups at the time of the connection. */
  readonly groups: readonly number[];
  /** False once the process has exited; never true again, also when the pid is reused. */
  isAlive(): boolean;
  /** Whether the process is alive, of the user and group who connected, and executes the file that it executed then. Never throws. */
  isUnchanged(): boolean;
  /** Reads a file of the process's own `/proc` directory. */
  readProc(name: ProcFile): Buffer;
  /** The file being executed now; its path is the workload's to choose. */
  executable(): ExecutableIdentity;
  /** An open read-only descriptor of the file being executed; the caller compares it with {@link executable} and closes it. */
  openExecutable(): Promise<number>;
}

/** Finds out selectors of one kind. */
export interface WorkloadAttestor {
  /** The plugin name and selector type, such as `unix`. */
  readonly name: string;
  attest(peer: WorkloadPeer, signal: AbortSignal): Promise<readonly Selector[]>;
}
