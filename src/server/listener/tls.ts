/** The TCP listener: TLS 1.3, clients with an SVID or without any certificate, and nobody in between. */
import type { X509Certificate } from "node:crypto";
import type { AddressInfo, Socket } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import type { Clock } from "../../lib/clock.ts";
import { AgentError, errorText, publicError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import type { Runnable } from "../../lib/tasks.ts";
import type { Watchable } from "../../lib/watchable.ts";
import type { X509Svid } from "../../spiffe/svid.ts";
import type { CallerSvid, TlsCaller } from "../caller.ts";
import type { ConnectionLimits } from "../connection-limits.ts";
import { LogGate } from "../log-gate.ts";
import { ConnectionShares, type Place } from "./connection-shares.ts";
import type { PeerVerifier } from "./peer-verifier.ts";
import { contextOptions } from "./tls-options.ts";

/** What the listener needs. */
export interface TlsListenerDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** The server's own SVID, which must be there when the listener runs; each new one is used from the next connection on. */
  readonly svid: Watchable<X509Svid | undefined>;
  readonly verifier: Pick<PeerVerifier, "verify">;
  /** Gets each connection once it is known who is at its other end. */
  readonly onConnection: (socket: TLSSocket, caller: TlsCaller) => void;
}

/** How the listener is set up. */
export interface TlsListenerOptions {
  /** IP address or host name. */
  readonly address: string;
  /** 0 for any that is free. */
  readonly port: number;
  /** Refuse clients that cannot do a post-quantum key exchange. */
  readonly requirePqKem: boolean;
  /** Milliseconds that a handshake may take; default 10 s. */
  readonly handshakeTimeoutMs?: number;
  readonly limits: Omit<ConnectionLimits, "local">;
}

const HANDSHAKE_TIMEOUT_MS = 10_000;
const BACKLOG = 4096;
/** Certificates followed in what a client presented; the verifier refuses chains of this length. */
const MAX_PRESENTED = 20;

/** Listens while it runs. Accepted connections belong to `onConnection` and outlive it. */
export class TlsListener implements Runnable {
  /** Where it listens, once it does; rejects when it cannot. */
  readonly listening: Promise<AddressInfo>;
  readonly #deps: TlsListenerDeps;
  readonly #options: TlsListenerOptions;
  readonly #started = Promise.withResolvers<AddressInfo>();
  readonly #refusals: LogGate;
  readonly #shares: ConnectionShares;
  /** By the two ends of the connection, which are all that a TLS socket and the TCP socket under it have in common. */
  readonly #places = new Map<string, Place>();

  constructor(deps: TlsListenerDeps, options: TlsListenerOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#refusals = new LogGate(deps.clock);
    this.#shares = new ConnectionShares(options.limits);
    this.listening = this.#started.promise;
    this.listening.catch(() => {});
  }

  /** Connections that have shown no SVID (yet). */
  get unidentified(): number {
    return this.#shares.unidentified;
  }

  /** Throws `IN_USE` when the port is taken, `INVALID_ARGUMENT` or `FAILED_PRECONDITION` when it cannot be had. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      const { svid } = this.#deps;
      if (svid.value === undefined) throw new AgentError("UNAVAILABLE", "the server has no SVID of its own yet");
      await this.#serve(this.#create(svid.value), signal);
    } catch (error) {
      this.#started.reject(error);
      throw error;
    }
  }

  async #serve(server: Server, signal: AbortSignal): Promise<void> {
    const rotated = this.#deps.svid.subscribe((renewed) => this.#rotate(server, renewed));
    try {
      const address = await listen(server, this.#options);
      this.#started.resolve(address);
      this.#deps.log.info("Starting Server APIs", { address: `${address.address}:${address.port}`, network: "tcp" });
      if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    } finally {
      rotated();
      // Not awaited to the end, which comes only when the last connection has closed.
      if (server.listening) server.close();
    }
  }

  #create(svid: X509Svid): Server {
    const { requirePqKem, handshakeTimeoutMs = HANDSHAKE_TIMEOUT_MS } = this.#options;
    const server = createServer({
      ...contextOptions(svid, requirePqKem),
      requestCert: true,
      // A client without a certificate may attest; one with a bad certificate is turned away by `#identify`.
      rejectUnauthorized: false,
      ALPNProtocols: ["h2"],
      handshakeTimeout: handshakeTimeoutMs,
      noDelay: true,
      keepAlive: true,
    });
    server.maxConnections = this.#options.limits.tls;
    server.prependListener("connection", (socket) => this.#enter(socket));
    server.on("secureConnection", (socket) => void this.#accept(socket));
    server.on("tlsClientError", (error, socket) => {
      this.#deps.log.debug("TLS handshake failed", { error: errorText(error) });
      socket.destroy();
    });
    return server;
  }

  #rotate(server: Server, svid: X509Svid | undefined): void {
    if (svid === undefined) return;
    try {
      server.setSecureContext(contextOptions(svid, this.#options.requirePqKem));
    } catch (error) {
      this.#deps.log.error("Could not use the new server SVID; going on with the old one", { error: errorText(error) });
    }
  }

  /** Gives a connection its place, before anything is read from it. */
  #enter(socket: Socket): void {
    const ends = endsOf(socket);
    if (ends === undefined) {
      socket.destroy();
      return;
    }
    const place = this.#shares.enter(socket.remoteAddress ?? "", () => socket.destroy());
    this.#places.set(ends, place);
    socket.once("close", () => {
      place.leave();
      if (this.#places.get(ends) === place) this.#places.delete(ends);
    });
  }

  async #accept(socket: TLSSocket): Promise<void> {
    // Nobody else listens before the connection is handed on.
    const ignore = (): void => {};
    socket.on("error", ignore);
    const { remoteAddress, remotePort } = socket;
    const place = this.#places.get(endsOf(socket) ?? "");
    try {
      if (remoteAddress === undefined || remotePort === undefined || place === undefined)
        throw new AgentError("CANCELLED", "the peer has gone");
      if (socket.alpnProtocol !== "h2") throw new AgentError("INVALID_ARGUMENT", "the peer does not offer HTTP/2");
      const svid = await this.#identify(socket);
      if (socket.destroyed) return;
      if (svid !== undefined) place.identify(svid.spiffeId);
      const address = remoteAddress.replace(/^::ffff:(?=\d+\.)/i, "");
      this.#deps.onConnection(socket, {
        kind: "tls",
        address,
        port: remotePort,
        ...(svid !== undefined && { svid }),
      });
    } catch (error) {
      const line = { caller_addr: `${remoteAddress}:${remotePort}`, error: errorText(error) };
      this.#refusals.pass((suppressed) => this.#deps.log.warn("Connection refused", { ...line, ...suppressed }));
      socket.destroy();
    }
  }

  /** `undefined` for a client without a certificate. */
  async #identify(socket: TLSSocket): Promise<CallerSvid | undefined> {
    const chain = presentedChain(socket);
    if (chain.length === 0) return undefined;
    const { authorizationError } = socket;
    return await this.#deps.verifier.verify(chain, String(authorizationError ?? "verified without authorities"));
  }
}

/** Addresses and ports of both ends; `undefined` once the peer has gone. */
function endsOf(socket: Socket): string | undefined {
  const { localAddress, localPort, remoteAddress, remotePort } = socket;
  return remotePort === undefined ? undefined : `${localAddress} ${localPort} ${remoteAddress} ${remotePort}`;
}

/** What the client sent, leaf first. */
function presentedChain(socket: TLSSocket): Uint8Array[] {
  const chain: Uint8Array[] = [];
  let next: X509Certificate | undefined = socket.getPeerX509Certificate();
  while (next !== undefined && chain.length < MAX_PRESENTED) {
    chain.push(new Uint8Array(next.raw));
    next = next.issuerCertificate;
  }
  return chain;
}

function listen(server: Server, options: TlsListenerOptions): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(cannotListen(options, error)));
    server.listen({ host: options.address, port: options.port, backlog: BACKLOG }, () => {
      const address = server.address();
      if (address === null || typeof address === "string") reject(new Error("a TCP server has no address"));
      else resolve(address);
    });
  });
}

function cannotListen(options: TlsListenerOptions, error: NodeJS.ErrnoException): Error {
  const where = `${options.address.includes(":") ? `[${options.address}]` : options.address}:${options.port}`;
  if (error.code === "EADDRINUSE") {
    return publicError("IN_USE", `cannot listen on ${where}: another process is using this address`, { cause: error });
  }
  const code = error.code === "EACCES" || error.code === "EPERM" ? "FAILED_PRECONDITION" : "INVALID_ARGUMENT";
  return publicError(code, `cannot listen on ${where}: ${error.code ?? error.message}`, { cause: error });
}
