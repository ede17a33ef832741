/** Admits connections to the Workload API: names the process behind each, and bounds how many a user may hold. */
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Clock } from "../lib/clock.ts";
import { errorText } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import type { PeerCredentialSource, PeerCredentialsOptions } from "../lib/native.ts";
import { socketFd } from "../lib/socket-fd.ts";
import type { FairTurns } from "./fair-turns.ts";
import { Later } from "./later.ts";
import { ConnectedPeer } from "./peer.ts";
import type { ReadShares } from "./read-shares.ts";

/** How long a caller that asks nothing may cost a second descriptor, and how many may at once. */
const SILENT_MS = 500;
const MOST_SILENT = 64;

/** What the gate needs. */
export interface PeerGateDeps {
  readonly native: PeerCredentialSource;
  readonly clock: Clock;
  readonly log: Logger;
  readonly turns: FairTurns;
  readonly shares: ReadShares<ConnectedPeer>;
}

/** How the gate works. */
export interface PeerGateOptions {
  /** Connections in all. */
  readonly maxConnections: number;
  /** Connections of one uid. */
  readonly maxPerUid: number;
  /** How the kernel is asked; see there. */
  readonly credentials?: PeerCredentialsOptions;
}

/** Stands before a transport, and is its `onConnect`. */
export class PeerGate {
  readonly #deps: PeerGateDeps;
  readonly #options: PeerGateOptions;
  readonly #peers = new Map<Duplex, ConnectedPeer>();
  readonly #perUid = new Map<number, number>();
  /** What was warned about already, since callers can repeat it at will: error codes and uids. */
  readonly #warned = new Set<string | number>();
  /** Callers whose `/proc` directory is open since they connected, for most ask at once. */
  readonly #silent: Later<ConnectedPeer>;
  #refused = 0;
  #overUid = 0;
  #unidentified = 0;

  constructor(deps: PeerGateDeps, options: PeerGateOptions) {
    this.#deps = deps;
    this.#silent = new Later(deps.clock, { withinMs: SILENT_MS, most: MOST_SILENT, work: (peer) => peer.rest() });
    this.#options = options;
  }

  /** Connections open now. */
  get connections(): number {
    return this.#peers.size;
  }

  /** Connections closed at once so far, for whatever reason. */
  get refused(): number {
    return this.#refused;
  }

  /** Connections closed so far because their user held too many. */
  get refusedOverUid(): number {
    return this.#overUid;
  }

  /** Connections closed so far because the process behind them could not be named. */
  get refusedUnidentified(): number {
    return this.#unidentified;
  }

  /**
   * Names the process behind a connection at once, and calls `next` when it is its user's turn: what comes then is
   * dear. Until then nothing is read, not even that the caller has gone. Closes what must not come in.
   */
  receive(socket: Socket, next: () => void): void {
    this.#deps.turns.hurry();
    const peer = this.#admit(socket);
    if (peer === undefined) {
      this.#refused++;
      socket.destroy();
      return;
    }
    this.#peers.set(socket, peer);
    socket.once("close", () => this.#left(socket, peer));
    // Until the transport takes it over nobody else listens.
    socket.once("error", () => {});
    this.#deps.turns.run(peer.uid, () => {
      if (socket.destroyed) return;
      next();
      this.#deps.shares.enter(peer);
      socket.once("end", () => this.#deps.shares.ending(peer));
      peer.resumeReading();
    });
  }

  /** The process behind a connection that came in. */
  readonly onConnect = (socket: Duplex): ConnectedPeer | null => this.#peers.get(socket) ?? null;

  #admit(socket: Socket): ConnectedPeer | undefined {
    const { maxConnections, maxPerUid } = this.#options;
    if (this.#peers.size >= maxConnections) return undefined;
    const peer = this.#identify(socket);
    if (peer === undefined) return undefined;
    const held = this.#perUid.get(peer.uid) ?? 0;
    if (held < maxPerUid) {
      this.#perUid.set(peer.uid, held + 1);
      this.#silent.add(peer);
      return peer;
    }
    this.#overUid++;
    if (this.#firstTime(peer.uid)) {
      this.#deps.log.warn("User holds too many connections", { caller_uid: peer.uid, limit: held });
    }
    peer.close();
    return undefined;
  }

  #left(socket: Socket, peer: ConnectedPeer): void {
    this.#peers.delete(socket);
    this.#deps.shares.leave(peer);
    const left = (this.#perUid.get(peer.uid) ?? 1) - 1;
    if (left > 0) this.#perUid.set(peer.uid, left);
    else {
      this.#perUid.delete(peer.uid);
      this.#warned.delete(peer.uid);
    }
    peer.close();
  }

  #identify(socket: Socket): ConnectedPeer | undefined {
    const { native, clock, log } = this.#deps;
    try {
      const credentials = native.peerCredentials(socketFd(socket), this.#options.credentials);
      const peer = new ConnectedPeer(credentials, socket, clock);
      if (peer.executableIsHidden && this.#firstTime("hidden")) {
        log.warn("Cannot see what callers execute: run as root or with CAP_SYS_PTRACE to notice a change of program", {
          pid: peer.pid,
          caller_uid: peer.uid,
        });
      }
      return peer;
    } catch (error) {
      this.#unidentified++;
      const code = (error as NodeJS.ErrnoException).code ?? "unknown";
      // A caller that is already gone is none of the operator's business.
      if (code !== "ESRCH" && code !== "ENOENT" && this.#firstTime(code)) {
        log.warn("Cannot identify a caller; its connection was closed", { error: errorText(error), code });
      }
      return undefined;
    }
  }

  #firstTime(what: string | number): boolean {
    if (this.#warned.has(what)) return false;
    this.#warned.add(what);
    return true;
  }
}
