/** What a daemon and systemd tell each other: sd_notify(3), the watchdog, and sockets that are open already. */
import { realpathSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { Clock } from "../lib/clock.ts";
import { errorText, publicError } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import type { ProcessControl } from "../lib/native.ts";

/** The environment's variables. */
export type Env = Readonly<Record<string, string | undefined>>;

/** The first descriptor of `LISTEN_FDS`, by sd_listen_fds(3). */
const FIRST_FD = 3;
/** Longest `STATUS=` in characters. */
const MAX_STATUS = 200;

/** What the connection to the service manager is made of. */
export interface ServiceManagerDeps {
  readonly native: Pick<ProcessControl, "sdNotify">;
  readonly env: Env;
  readonly clock: Clock;
  readonly log: Logger;
  readonly pid: number;
}

/** Tells the service manager; does nothing where there is none (`NOTIFY_SOCKET`). */
export class ServiceManager {
  readonly #deps: ServiceManagerDeps;
  readonly #socket: string | undefined;
  #status = "";
  #ready = false;
  #stopping = false;
  #failed = false;

  constructor(deps: ServiceManagerDeps) {
    this.#deps = deps;
    const { NOTIFY_SOCKET: socket } = deps.env;
    this.#socket = socket === "" ? undefined : socket;
  }

  /** Whether anybody listens. */
  get present(): boolean {
    return this.#socket !== undefined;
  }

  /** We serve. */
  ready(): void {
    this.#ready = true;
    this.#send("READY=1");
  }

  /** One line for people; sent when it is another than before. */
  status(text: string): void {
    const line = text.replaceAll(/\p{Cc}/gu, " ").slice(0, MAX_STATUS);
    if (line === this.#status || this.#stopping) return;
    this.#status = line;
    this.#send(`STATUS=${line}`);
  }

  /** We end; sent once. */
  stopping(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#send("STOPPING=1\nSTATUS=Stopping");
  }

  /** We read our configuration anew until {@link reloaded}. `monotonicUs` is `CLOCK_MONOTONIC` in microseconds. */
  reloading(monotonicUs: bigint): void {
    if (this.#ready && !this.#stopping) this.#send(`RELOADING=1\nMONOTONIC_USEC=${monotonicUs}`);
  }

  /** The end of that. */
  reloaded(): void {
    if (this.#ready && !this.#stopping) this.#send("READY=1");
  }

  /** Says from the event loop that it turns, as often as is asked for, until the returned value is disposed. */
  watchdog(): Disposable {
    const { env, pid, clock } = this.#deps;
    const intervalMs = this.present ? watchdogIntervalMs(env, pid) : undefined;
    if (intervalMs === undefined) return { [Symbol.dispose]: () => {} };
    let cancel = (): void => {};
    const beat = (): void => {
      this.#send("WATCHDOG=1");
      cancel = clock.after(intervalMs, beat);
    };
    beat();
    return { [Symbol.dispose]: () => cancel() };
  }

  #send(state: string): void {
    if (this.#socket === undefined) return;
    try {
      this.#deps.native.sdNotify(this.#socket, state);
      this.#failed = false;
    } catch (error) {
      // Once: the watchdog would repeat it for ever.
      if (!this.#failed) this.#deps.log.warn("Could not notify the service manager", { error: errorText(error) });
      this.#failed = true;
    }
  }
}

/** Half of `WATCHDOG_USEC`, in milliseconds; undefined where no watchdog waits for this process (sd_watchdog_enabled(3)). */
export function watchdogIntervalMs(env: Env, pid: number): number | undefined {
  const { WATCHDOG_USEC: usec = "", WATCHDOG_PID: forPid = "" } = env;
  if (!/^[1-9]\d{0,17}$/.test(usec) || (forPid !== "" && forPid !== String(pid))) return undefined;
  return Math.max(1, Math.floor(Number(usec) / 2_000));
}

/** A socket that the service manager has opened for us. */
export interface InheritedSocket {
  readonly fd: number;
  /** As the service manager calls it: `FileDescriptorName=`, or the socket unit's name. */
  readonly name: string;
}

/**
 * The sockets of `LISTEN_FDS`, if they are meant for this process (`LISTEN_PID`).
 * Throws `INVALID_ARGUMENT` for a number that is none.
 */
export function inheritedSockets(env: Env, pid: number): readonly InheritedSocket[] {
  const { LISTEN_PID: forPid = "", LISTEN_FDS: count = "", LISTEN_FDNAMES: names = "" } = env;
  if (count === "" || forPid !== String(pid)) return [];
  if (!/^\d{1,4}$/.test(count)) throw publicError("INVALID_ARGUMENT", `LISTEN_FDS is no number of sockets: ${count}`);
  const named = names.split(":");
  return Array.from({ length: Number(count) }, (_, index) => ({
    fd: FIRST_FD + index,
    name: named[index] || "unknown",
  }));
}

/**
 * The descriptor on which the service manager listens at `path` for us; undefined where it hands us none.
 * Throws `FAILED_PRECONDITION` when it hands us anything else: more than one, or no listening Unix stream socket, or one of another path.
 */
export function inheritedListener(
  path: string,
  deps: { readonly native: Pick<ProcessControl, "listeningPath">; readonly env: Env; readonly pid: number },
): number | undefined {
  const [socket, ...more] = inheritedSockets(deps.env, deps.pid);
  if (socket === undefined) return undefined;
  if (more.length > 0) {
    throw refuse(`${more.length + 1} sockets, but takes one: ListenStream=${path}`);
  }
  const { fd, name } = socket;
  let found: string;
  try {
    found = deps.native.listeningPath(fd);
  } catch (error) {
    throw refuse(
      `file descriptor ${fd} (${name}), which is no listening Unix stream socket: it needs ListenStream=${path} and Accept=no`,
      error,
    );
  }
  if (realPath(found) !== realPath(path)) {
    throw refuse(`a socket at ${found} (${name}), but socket_path is ${path}: let both name the same path`);
  }
  return fd;
}

/** Links on the way are followed, as in `/var/run`; the last name is the socket's own. */
function realPath(path: string): string {
  if (path.startsWith("@")) return path;
  const absolute = resolve(path);
  try {
    return join(realpathSync(dirname(absolute)), basename(absolute));
  } catch {
    return absolute;
  }
}

function refuse(what: string, cause?: unknown): Error {
  return publicError("FAILED_PRECONDITION", `the service manager hands over ${what}`, { cause });
}
