/** The administration socket: whoever its folder's permissions let in is the operator. */
import type { Socket } from "node:net";
import { resolve } from "node:path";
import { errorText } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import type { PeerCredentialSource } from "../../lib/native.ts";
import { UnixListener } from "../../lib/rpc/unix-listener.ts";
import { socketFd } from "../../lib/socket-fd.ts";
import type { Runnable } from "../../lib/tasks.ts";
import type { LocalCaller } from "../caller.ts";

/** What the listener needs. */
export interface AdminSocketDeps {
  readonly log: Logger;
  /** Names the calling process in the audit log; without it callers stay nameless. */
  readonly credentials?: PeerCredentialSource;
  readonly onConnection: (socket: Socket, caller: LocalCaller) => void;
}

/** Listens while it runs. Accepted connections belong to `onConnection` and outlive it. */
export class AdminSocket implements Runnable {
  /** Resolves once it listens; rejects when it cannot. */
  readonly listening: Promise<void>;
  readonly #deps: AdminSocketDeps;
  readonly #path: string;
  readonly #started = Promise.withResolvers<void>();

  constructor(deps: AdminSocketDeps, options: { readonly path: string }) {
    this.#deps = deps;
    this.#path = resolve(options.path);
    this.listening = this.#started.promise;
    this.listening.catch(() => {});
  }

  /** Throws as `UnixListener.open` does. */
  async run(signal: AbortSignal): Promise<void> {
    const { log } = this.#deps;
    const listener = new UnixListener(
      {
        path: this.#path,
        audience: "admin",
        onError: (error) => log.error("Could not accept a connection", { error: errorText(error) }),
      },
      (socket) => this.#accept(socket),
    );
    try {
      await listener.open();
      this.#started.resolve();
      log.info("Starting Server APIs", { address: this.#path, network: "unix" });
      if (!signal.aborted) await new Promise((done) => signal.addEventListener("abort", done, { once: true }));
    } catch (error) {
      this.#started.reject(error);
      throw error;
    } finally {
      await listener.close();
    }
  }

  #accept(socket: Socket): void {
    socket.on("error", () => {});
    try {
      this.#deps.onConnection(socket, { kind: "local", ...processOf(socket, this.#deps.credentials) });
    } catch (error) {
      this.#deps.log.warn("Connection refused", { error: errorText(error) });
      socket.destroy();
    }
  }
}

/** The file mode decided already who may connect; this is for the record, so a process that has gone is no failure. */
function processOf(socket: Socket, source: PeerCredentialSource | undefined): Pick<LocalCaller, "process"> {
  if (source === undefined) return {};
  try {
    const { pid, uid, gid, handle } = source.peerCredentials(socketFd(socket));
    using _closed = handle;
    let path: string | undefined;
    try {
      path = handle.executable().path;
    } catch {}
    return { process: { pid, uid, gid, ...(path !== undefined && { path }) } };
  } catch {
    return {};
  }
}
