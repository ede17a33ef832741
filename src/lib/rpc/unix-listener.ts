/** A listening Unix socket that appears with its final mode, replaces a dead one and never steals a live one. */
import { type BigIntStats, chmodSync, lstatSync, mkdtempSync, renameSync, rmSync, unlinkSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { dirname, join, resolve } from "node:path";
import { publicError } from "../errors.ts";
import { prepareSocketFolder } from "./unix-folder.ts";

/** Who may connect: everybody to the workload socket (SPIRE's 0777), the owner and its group to an admin socket (0770). */
export type SocketAudience = "workload" | "admin";

/** Options of a listener. */
export interface UnixListenerOptions {
  readonly path: string;
  readonly audience: SocketAudience;
  /** Takes a socket's folder as it is, also if others could replace the socket (an `emptyDir` volume). Default false. */
  readonly trustFolder?: boolean;
  /** Listens on this open descriptor, which listens at `path` already and is another's: nothing is bound, checked or removed. */
  readonly inheritedFd?: number;
  /** Leaves it to the owner to begin to read accepted sockets (`setReading`), so that they may wait for their turn. */
  readonly paused?: boolean;
  /** Told when the kernel would not hand over a connection, for example for lack of file descriptors. */
  onError?(error: unknown): void;
}

/** `sun_path` holds 108 bytes with the closing zero. */
export const MAX_PATH_BYTES = 107;
const MODE: Record<SocketAudience, number> = { workload: 0o777, admin: 0o770 };
/** Of folders that are made for the socket. */
const FOLDER_MODE: Record<SocketAudience, number> = { workload: 0o755, admin: 0o750 };
const BACKLOG = 4096;
/** Length of what is put behind the folder's path: a socket is first bound in a hidden folder beside its place. */
export const NESTED = "/.sock-XXXXXX/s".length;

/** Listens from {@link open} to {@link close}. */
export class UnixListener {
  readonly #path: string;
  readonly #options: UnixListenerOptions;
  readonly #server: Server;
  #own: BigIntStats | undefined;

  /** `onConnection` gets each accepted socket, open and unread. */
  constructor(options: UnixListenerOptions, onConnection: (socket: Socket) => void) {
    this.#path = resolve(options.path);
    this.#options = options;
    this.#server = createServer({ pauseOnConnect: options.paused === true }, onConnection);
  }

  /**
   * Binds and listens. Throws `INVALID_ARGUMENT` for a path that is too long or taken by something else than
   * a socket, `FAILED_PRECONDITION` for a folder that others may write to, `IN_USE` when a process serves there.
   */
  async open(): Promise<void> {
    const path = this.#path;
    const { inheritedFd: fd } = this.#options;
    if (fd !== undefined) {
      await listen(this.#server, { fd });
      this.#server.on("error", (error) => this.#options.onError?.(error));
      return;
    }
    checkLength(path);
    if (this.#options.trustFolder !== true) {
      prepareSocketFolder(dirname(path), FOLDER_MODE[this.#options.audience], process.geteuid?.() ?? 0);
    }
    const stale = await findStale(path);
    // Bound inside a folder that only we can enter, so that nobody connects before the mode is right.
    const nest = makeNest(dirname(path));
    const hidden = join(nest, "s");
    try {
      await listen(this.#server, { path: hidden });
      this.#server.on("error", (error) => this.#options.onError?.(error));
      chmodSync(hidden, MODE[this.#options.audience]);
      if (!sameFile(lstat(path), stale)) throw inUse(path);
      renameSync(hidden, path);
      this.#own = lstat(path);
    } catch (error) {
      await this.close();
      throw error;
    } finally {
      rmSync(nest, { recursive: true, force: true });
    }
  }

  /** Accepts no more and removes the socket unless another process has replaced it. Accepted sockets stay open. */
  async close(): Promise<void> {
    // Not awaited to the end: that comes only when the last accepted socket has closed.
    if (this.#server.listening) this.#server.close();
    if (this.#own !== undefined && sameFile(lstat(this.#path), this.#own)) unlinkSync(this.#path);
    this.#own = undefined;
  }
}

function checkLength(path: string): void {
  const longest = Math.max(Buffer.byteLength(path), Buffer.byteLength(dirname(path)) + NESTED);
  if (longest > MAX_PATH_BYTES) {
    throw publicError(
      "INVALID_ARGUMENT",
      `socket path ${path} is ${longest - MAX_PATH_BYTES} bytes too long for a Unix socket`,
    );
  }
}

/** The socket file that nobody serves any more; undefined when there is no file. Throws when there is anything else. */
async function findStale(path: string): Promise<BigIntStats | undefined> {
  const found = lstat(path);
  if (found === undefined) return undefined;
  if (!found.isSocket()) throw publicError("INVALID_ARGUMENT", `${path} exists and is not a socket`);
  if (await isServed(path)) throw inUse(path);
  return found;
}

/** Anything but a clear refusal counts as served. */
function isServed(path: string): Promise<boolean> {
  return new Promise((settle) => {
    const probe = connect(path);
    probe.once("connect", () => {
      probe.destroy();
      settle(true);
    });
    probe.once("error", (error: NodeJS.ErrnoException) =>
      settle(error.code !== "ECONNREFUSED" && error.code !== "ENOENT"),
    );
  });
}

function listen(server: Server, where: { readonly path: string } | { readonly fd: number }): Promise<void> {
  return new Promise((settle, reject) => {
    server.once("error", reject);
    server.listen({ ...where, backlog: BACKLOG }, () => {
      server.off("error", reject);
      settle();
    });
  });
}

function makeNest(folder: string): string {
  try {
    return mkdtempSync(join(folder, ".sock-"));
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "unknown error";
    throw publicError("FAILED_PRECONDITION", `cannot create a socket in ${folder}: ${code}`, { cause: error });
  }
}

function inUse(path: string): Error {
  return publicError("IN_USE", `another process is serving ${path}`);
}

function lstat(path: string): BigIntStats | undefined {
  return lstatSync(path, { bigint: true, throwIfNoEntry: false });
}

function sameFile(a: BigIntStats | undefined, b: BigIntStats | undefined): boolean {
  return a === undefined || b === undefined ? a === b : a.dev === b.dev && a.ino === b.ino;
}
