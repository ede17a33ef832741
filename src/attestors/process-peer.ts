/** A process that somebody names by its pid, held to what it was at that moment. */
import { close, closeSync, constants, fstatSync, open, openSync, readFileSync, readlinkSync } from "node:fs";
import { AgentError, publicError } from "../lib/errors.ts";
import type { ExecutableIdentity, ProcFile } from "../lib/native.ts";
import { type ProcessOwner, parseStatus } from "./unix/status.ts";
import type { WorkloadPeer } from "./workload.ts";

/** Linux's `O_PATH`, which Node does not name: a descriptor that names a file and opens nothing. */
const O_PATH = 0o10000000;
/** A zombie has exited, `X` and `x` are on their way out (proc_pid_stat(5)). The name may hold parentheses. */
const STATE = /\) (.) [^)]*$/;
const EXITED = /[ZXx]/;
const MOST_PIDS = 2 ** 31;
/** As the addon has it for the processes behind connections. */
const MOST_BYTES = 1024 * 1024;

/**
 * Lives by an open folder of `/proc`, which belongs to one process and to none that has its pid later. Whoever names
 * a pid answers for its being the right one by then (Delegated Identity API).
 */
export class ProcessPeer implements WorkloadPeer, Disposable {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
  readonly #folder: number;
  readonly #program: ExecutableIdentity | undefined;
  #closed = false;

  /** Throws `UNAVAILABLE` when there is no such process. */
  constructor(pid: number, procRoot = "/proc") {
    if (!Number.isInteger(pid) || pid <= 0 || pid >= MOST_PIDS) throw gone(pid);
    this.pid = pid;
    this.#folder = openFolder(`${procRoot}/${pid}`, pid);
    try {
      const owner = this.#owner();
      this.uid = owner.uid;
      this.gid = owner.gid;
      this.groups = owner.supplementaryGids;
      this.#program = this.#look();
      if (!this.isAlive()) throw gone(pid);
    } catch (error) {
      this.close();
      throw gone(pid, error);
    }
  }

  isAlive(): boolean {
    if (this.#closed) return false;
    try {
      const state = STATE.exec(this.readProc("stat").toString("latin1"))?.[1];
      return state !== undefined && !EXITED.test(state);
    } catch {
      return false;
    }
  }

  isUnchanged(): boolean {
    try {
      const { uid, gid } = this.#owner();
      const program = this.#look();
      return uid === this.uid && gid === this.gid && sameFile(program, this.#program) && this.isAlive();
    } catch {
      return false;
    }
  }

  readProc(name: ProcFile): Buffer {
    const content = readFileSync(this.#path(name));
    if (content.length > MOST_BYTES) throw new AgentError("RESOURCE_EXHAUSTED", `the process's ${name} is too long`);
    return content;
  }

  executable(): ExecutableIdentity {
    const fd = openSync(this.#path("exe"), O_PATH);
    try {
      const { dev, ino, size, mtimeNs, ctimeNs } = fstatSync(fd, { bigint: true });
      return { device: dev, inode: ino, size, mtimeNs, ctimeNs, path: readlinkSync(`/proc/self/fd/${fd}`) };
    } finally {
      closeSync(fd);
    }
  }

  openExecutable(): Promise<number> {
    return new Promise((resolve, reject) => {
      open(this.#path("exe"), constants.O_RDONLY, (error, fd) => {
        if (error === null) resolve(fd);
        else reject(error);
      });
    });
  }

  /** Lets go of the process; may be called again. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    close(this.#folder, () => {});
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #path(name: string): string {
    // The number may be another file's by then.
    if (this.#closed) throw gone(this.pid);
    return `/proc/self/fd/${this.#folder}/${name}`;
  }

  #owner(): ProcessOwner {
    return parseStatus(this.readProc("status"));
  }

  /** Undefined where the kernel hides from us what the process executes; then no selector depends on it either. */
  #look(): ExecutableIdentity | undefined {
    try {
      return this.executable();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EACCES") return undefined;
      throw error;
    }
  }
}

function openFolder(path: string, pid: number): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    throw gone(pid, error);
  }
}

function sameFile(a: ExecutableIdentity | undefined, b: ExecutableIdentity | undefined): boolean {
  return a?.device === b?.device && a?.inode === b?.inode;
}

function gone(pid: number, cause?: unknown): AgentError {
  const known = new AgentError("UNAVAILABLE", `there is no process ${pid} to attest`, { cause });
  return publicError("UNAVAILABLE", "workload attestation failed", { cause: known });
}
