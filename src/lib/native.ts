/**
 * The native addon as the rest of Holdfast sees it: types only, nothing is loaded here.
 * `src/cli/native.ts` loads the addon and hands out these ports; tests hand out fakes.
 *
 * Every error thrown by the addon is an `Error` whose `code` is an errno name (`"ESRCH"`, `"EACCES"`,
 * `"EMFILE"`, ...) or one of {@link NativeErrorCode}; a wrong argument is a `TypeError` or `code: "EINVAL"`.
 */
import type { TpmOpener } from "./native-tpm.ts";

/** Codes of the addon that are no errno names. */
export type NativeErrorCode =
  /** The peer lives in a pid namespace that we cannot see into (`SO_PEERCRED` says pid 0). */
  | "ERR_PEER_PID_NAMESPACE"
  /** `procRoot` is no procfs, or one of another pid namespace, so its numbers are not ours. */
  | "ERR_PROC_ROOT";

/**
 * How a {@link PeerHandle} follows its process.
 * - `peer-pidfd`: `SO_PEERPIDFD` (Linux 6.5); the kernel names the connector, nothing can race.
 * - `pidfd-open`: `pidfd_open(2)` on the pid right after accept (Linux 5.3); the time between connect and accept is open.
 * - `start-time`: the held `/proc/<pid>` folder and the start time in it; the same window is open.
 */
export type PeerHandleKind = "peer-pidfd" | "pidfd-open" | "start-time";

/** Files below `/proc/<pid>` that {@link PeerHandle.readProc} reads. */
export type ProcFile = "status" | "stat" | "cgroup" | "mountinfo";

/** Which file a process executes. Two are the same file when all but `path` are equal. */
export interface ExecutableIdentity {
  /** As `fs.statSync(path, { bigint: true }).dev`. */
  readonly device: bigint;
  readonly inode: bigint;
  /** Bytes. */
  readonly size: bigint;
  /** Nanoseconds since 1970. */
  readonly mtimeNs: bigint;
  /** Nanoseconds since 1970. */
  readonly ctimeNs: bigint;
  /**
   * Link text of `/proc/<pid>/exe`, taken of the same file as the numbers. The workload chooses it (mount
   * namespaces, chroot); an unlinked program ends with ` (deleted)`.
   */
  readonly path: string;
}

/**
 * Follows one process from the moment its connection was accepted. An idle handle holds one file descriptor;
 * reads below `/proc/<pid>` open a second one, which {@link releaseProc} closes again.
 *
 * Every read is of the process that connected or throws, also when its pid has been given to another one:
 * the `/proc/<pid>` folder is opened first and the process is confirmed alive after. What was read is
 * current only if {@link isAlive} still says so afterwards.
 */
export interface PeerHandle extends Disposable {
  readonly kind: PeerHandleKind;

  /** False once the process has exited (a zombie counts as exited), and after {@link close}. Never throws. */
  isAlive(): boolean;

  /**
   * Calls back once, on the event loop, when the process has exited; also if it already had. A `start-time` handle
   * notices within about a second, the others at once. Does not keep the event loop alive. Keeps this handle from being garbage collected until then or until {@link close}, which
   * takes the callback back.
   * @throws `EALREADY` if a callback is waiting or has fired; `EBADF` after close.
   */
  onExit(callback: () => void): void;

  /**
   * The effective user and group of the process now; differ after a `setuid(2)`, or after it executed a set-uid program.
   * @throws `ESRCH` once the process has exited, `EBADF` after close.
   */
  owner(): { readonly uid: number; readonly gid: number };

  /**
   * The file that the process executes now; differs after an `execve`. Never waits for a file system.
   * @throws `EACCES` without the right to look (needs root, the same uid, or CAP_SYS_PTRACE), `ESRCH` once the
   *   process has exited, `EBADF` after close.
   */
  executable(): ExecutableIdentity;

  /**
   * Keeps in mind which file the process executes now, for {@link isUnchanged}. False where the kernel hides that from
   * us (`EACCES` of {@link executable}): then it must stay hidden.
   * @throws what {@link executable} throws otherwise; then nothing is unchanged.
   */
  rememberExecutable(): boolean;

  /**
   * Whether the process is alive, its effective user and group are those that connected, and it executes the file
   * (device and inode) of {@link rememberExecutable}. Never throws. Leaves the `/proc/<pid>` folder open only if it was.
   */
  isUnchanged(): boolean;

  /**
   * Opens the executed file for reading, off the event loop, and gives a descriptor that the caller must close.
   * The process may have executed another program since {@link executable}: compare with `fstat`.
   */
  openExecutable(): Promise<number>;

  /**
   * Reads one file of `/proc/<pid>`: at most 64 KiB, or 1 MiB of `mountinfo`.
   * @throws `EFBIG` when it is longer, `ESRCH` once the process has gone, `EBADF` after close.
   */
  readProc(name: ProcFile): Buffer;

  /** Closes the `/proc/<pid>` folder; the next read opens it again. No effect on a `start-time` handle, which lives by it. */
  releaseProc(): void;

  /** Closes everything. May be called again, and inside the callback of {@link onExit}. */
  close(): void;
}

/** Who connected, as the kernel recorded it at `connect(2)`. */
export interface PeerCredentials {
  readonly pid: number;
  /** Effective uid at connect. */
  readonly uid: number;
  /** Effective gid at connect. */
  readonly gid: number;
  /** Supplementary groups at connect. */
  readonly groups: readonly number[];
  /** The caller must close it. */
  readonly handle: PeerHandle;
}

export interface PeerCredentialsOptions {
  /** Take this fallback although the kernel can do better; for tests. */
  readonly force?: "pidfd-open" | "start-time";
  /** Where procfs is mounted; default `/proc`. Must be of our own pid namespace. */
  readonly procRoot?: string;
}

/** Names the process at the other end of an accepted Unix stream socket. */
export interface PeerCredentialSource {
  /**
   * @param fd the accepted socket; it is not kept or closed.
   * @throws `ESRCH` if the peer has already exited, `ERR_PEER_PID_NAMESPACE` if it cannot be seen from our pid
   *   namespace, `EINVAL` if `fd` is no connected Unix socket, `EMFILE` without free descriptors.
   */
  peerCredentials(fd: number, options?: PeerCredentialsOptions): PeerCredentials;
}

/** A lock that is held until {@link release} or the end of the process, not until it is garbage collected. */
export interface FileLock extends Disposable {
  /** May be called again. The file stays. */
  release(): void;
}

/** One process per file, by `flock(2)`. */
export interface FileLocker {
  /**
   * Creates the file (mode 0600) if it is missing; a symbolic link is refused with `ELOOP`.
   * @returns undefined while another process (or another lock of this one) holds it.
   */
  lockFile(path: string): FileLock | undefined;
}

/** What a daemon does to its own process. */
export interface ProcessControl {
  /**
   * Sends one datagram to the service manager, as `sd_notify(3)`.
   * @param socketPath the value of `NOTIFY_SOCKET`: an absolute path, or `@name` in the abstract namespace.
   * @param state for example `"READY=1"` or `"STATUS=...\nWATCHDOG=1"`; at most 4096 bytes.
   * @throws `EAGAIN` if the receiver took nothing for a quarter of a second, `ECONNREFUSED`, `ENOENT`, `EINVAL`, `ENAMETOOLONG`.
   */
  sdNotify(socketPath: string, state: string): void;
  /**
   * Where a socket listens that whoever started us has left open: a path, or `@name` in the abstract namespace.
   * It is closed in programs that we start from now on.
   * @throws `EBADF` if it is not open, `EINVAL` if it is anything but a listening Unix stream socket.
   */
  listeningPath(fd: number): string;
  /** `false` keeps processes of the same uid from tracing us or reading our memory, and the kernel from dumping it. */
  setDumpable(on: boolean): void;
  /** Sets the core size limit to zero for good. A core handler program ignores it: use `setDumpable(false)` too. */
  disableCoreDumps(): void;
  /** Raises the soft limit of open files to the hard one and tells both; `Infinity` for no limit. */
  raiseFileLimit(): { readonly soft: number; readonly hard: number };
  /** Sets the file mode creation mask (0 to 0o777) and returns the one before. */
  setUmask(mask: number): number;
}

/** All that the addon exports. Layers ask for the part they use. */
export interface NativeAddon extends PeerCredentialSource, FileLocker, ProcessControl, TpmOpener {}
