/** Admits connections to the Workload API: names the process behind each, and bounds how many a user may hold. */
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Clock } from "../lib/clock.ts";
import { errorText } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import type { PeerCredentialSource, PeerCredentialsOptions } from "../lib/native.ts";
import { socketFd } from "../lib/socket-fd.ts";
import { Later } from "./later.ts";
import { ConnectedPeer } from "./peer.ts";

/** How long a caller that asks nothing may cost a second descriptor, and how many may at once. */
const SILENT_MS = 500;
const MOST_SILENT = 64;

/** What the gate needs. */
export interface PeerGateDeps {
  readonly native: PeerCredentialSource;
  readonly clock: Clock;
  readonly log: Logger;
}

/** How the gate works. */
export interface PeerGateOptions {
  /** Connections of one uid. */
  readonly maxPerUid: number;
  /** How the kernel is asked; see there. */
  readonly credentials?: PeerCredentialsOptions;
}

/** The `onConnect` and `onDisconnect` of a transport. */
export class PeerGate {
  readonly #deps: PeerGateDeps;
  readonly #options: PeerGateOptions;
  readonly #perUid = new Map<number, number>();
  /** What was warned about already, since callers can repeat it at will: error codes and uids. */
  readonly #warned = new Set<string | number>();
  /** Callers whose `/proc` directory is open since they connected, for most ask at once. */
  readonly #silent: Later<ConnectedPeer>;
  #overUid = 0;
  #unidentified = 0;

  constructor(deps: PeerGateDeps, options: PeerGateOptions) {
    this.#deps = deps;
    this.#silent = new Later(deps.clock, { withinMs: SILENT_MS, most: MOST_SILENT, work: (peer) => peer.rest() });
    this.#options = options;
  }

  /** Connections closed so far because their user held too many. */
  get refusedOverUid(): number {
    return this.#overUid;
  }

  /** Connections closed so far because the process behind them could not be named. */
  get refusedUnidentified(): number {
    return this.#unidentified;
  }

  readonly onConnect = (socket: Duplex): ConnectedPeer | null => {
    if (!(socket instanceof Socket)) return null;
    const peer = this.#identify(socket);
    if (peer === undefined) return null;
    const held = this.#perUid.get(peer.uid) ?? 0;
    if (held >= this.#options.maxPerUid) {
      this.#overUid++;
      if (this.#firstTime(peer.uid)) {
        this.#deps.log.warn("User holds too many connections", { caller_uid: peer.uid, limit: held });
      }
      peer.close();
      return null;
    }
    this.#perUid.set(peer.uid, held + 1);
    this.#silent.add(peer);
    return peer;
  };

  readonly onDisconnect = (peer: ConnectedPeer): void => {
    const left = (this.#perUid.get(peer.uid) ?? 1) - 1;
    if (left > 0) this.#perUid.set(peer.uid, left);
    else {
      this.#perUid.delete(peer.uid);
      this.#warned.delete(peer.uid);
    }
    peer.close();
  };

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
