/** The process behind one connection to the Workload API, held to what it was when it connected. */
import type { Socket } from "node:net";
import type { WorkloadPeer } from "../attestors/workload.ts";
import type { Clock } from "../lib/clock.ts";
import type { ExecutableIdentity, PeerCredentials, PeerHandle, ProcFile } from "../lib/native.ts";
import { setReading } from "../lib/socket-fd.ts";

/** How long a refused connection stays open, so that the caller reads the refusal. */
const LINGER_MS = 50;

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
  /** Whether the kernel keeps from us what the caller executes; as root, the same uid or with CAP_SYS_PTRACE it does not. */
  readonly executableIsHidden: boolean;
  #state: "open" | "refused" | "closed" = "open";
  #exitListeners: Set<() => void> | undefined;

  /**
   * Takes over the credentials' handle. Throws what {@link PeerHandle.rememberExecutable} throws, the handle then
   * closed. The `/proc` directory stays open until {@link rest}: most callers ask at once.
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
      // Hidden, no selector can depend on it either.
      this.executableIsHidden = !this.#handle.rememberExecutable();
    } catch (error) {
      this.#handle.close();
      throw error;
    }
  }

  isAlive(): boolean {
    return this.#state === "open" && this.#handle.isAlive();
  }

  isUnchanged(): boolean {
    return this.#state === "open" && this.#handle.isUnchanged();
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

  /** Takes nothing more of what the caller sends. */
  pauseReading(): void {
    setReading(this.#socket, false);
  }

  resumeReading(): void {
    setReading(this.#socket, true);
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
