/** The process behind one connection to the Workload API, held to what it was when it connected. */
import type { Socket } from "node:net";
import type { WorkloadPeer } from "../attestors/workload.ts";
import type { Clock } from "../lib/clock.ts";
import type { ExecutableIdentity, PeerCredentials, PeerHandle, ProcFile } from "../lib/native.ts";

/** How long a refused connection stays open, so that the caller reads the refusal. */
const LINGER_MS = 50;

/** What the executable was at accept: a file, or hidden from us by the kernel. */
type Executed = { readonly device: bigint; readonly inode: bigint } | "hidden";

/**
 * A caller. Its identity is fixed when the connection is accepted: a process may connect, hand the socket to a
 * child and then execute something trusted, and must gain nothing by it.
 */
export class ConnectedPeer implements WorkloadPeer {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
  readonly #handle: PeerHandle;
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #executed: Executed;
  #state: "open" | "refused" | "closed" = "open";
  #exitListeners: Set<() => void> | undefined;

  /**
   * Takes over the credentials' handle. Throws what {@link PeerHandle.executable} throws, the handle then closed,
   * unless the kernel merely does not let us look.
   */
  constructor(credentials: PeerCredentials, socket: Socket, clock: Clock) {
    this.pid = credentials.pid;
    this.uid = credentials.uid;
    this.gid = credentials.gid;
    this.groups = credentials.groups;
    this.#handle = credentials.handle;
    this.#socket = socket;
    this.#clock = clock;
    try {
      this.#executed = executedBy(this.#handle);
      this.rest();
    } catch (error) {
      this.#handle.close();
      throw error;
    }
  }

  /** Whether the kernel lets us see what the caller executes (as root, the same uid, or with CAP_SYS_PTRACE). */
  get executableIsHidden(): boolean {
    return this.#executed === "hidden";
  }

  isAlive(): boolean {
    return this.#state === "open" && this.#handle.isAlive();
  }

  isUnchanged(): boolean {
    if (this.#state !== "open") return false;
    try {
      const { uid, gid } = this.#handle.owner();
      if (uid !== this.uid || gid !== this.gid) return false;
      return same(executedBy(this.#handle), this.#executed) && this.#handle.isAlive();
    } catch {
      return false;
    }
  }

  readProc(name: ProcFile): Buffer {
    return this.#handle.readProc(name);
  }

  executable(): ExecutableIdentity {
    return this.#handle.executable();
  }

  openExecutable(): Promise<number> {
    return this.#handle.openExecutable();
  }

  /** Gives back the descriptor of the `/proc` directory until the next read. */
  rest(): void {
    if (this.#state !== "closed") this.#handle.releaseProc();
  }

  /**
   * Calls back when the process exits, also if it already has; not after the connection has closed. Returns the
   * function that takes the callback back. Throws when the kernel will not watch the process.
   */
  onExit(listener: () => void): () => void {
    if (this.#state === "closed") return () => {};
    if (this.#exitListeners === undefined) {
      this.#handle.onExit(() => this.#exited());
      this.#exitListeners = new Set();
    }
    const listeners = this.#exitListeners;
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  /** Believes the caller no more and closes its connection once answers in progress are out. */
  refuse(): void {
    if (this.#state !== "open") return;
    this.#state = "refused";
    this.#clock.after(LINGER_MS, () => this.#socket.destroy());
  }

  /** Lets go of the process; for when the connection has closed. */
  close(): void {
    this.#state = "closed";
    this.#exitListeners?.clear();
    this.#handle.close();
  }

  #exited(): void {
    for (const listener of Array.from(this.#exitListeners ?? [])) listener();
    this.refuse();
  }
}

function executedBy(handle: PeerHandle): Executed {
  try {
    const { device, inode } = handle.executable();
    return { device, inode };
  } catch (error) {
    // Only the right to look is missing: then no selector can depend on the executable either.
    if ((error as NodeJS.ErrnoException).code === "EACCES") return "hidden";
    throw error;
  }
}

function same(a: Executed, b: Executed): boolean {
  if (a === "hidden" || b === "hidden") return a === b;
  return a.device === b.device && a.inode === b.inode;
}
