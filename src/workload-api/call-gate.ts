/** Admits calls: bounds how many a user and all users may have. */
import { GrpcCode } from "../lib/grpc-status.ts";
import type { Logger } from "../lib/log.ts";
import type { BidiHandler, Method } from "../lib/rpc/transport.ts";
import type { WorkloadCall } from "./guard.ts";
import type { ConnectedPeer } from "./peer.ts";

/** How much is let in. */
export interface CallGateLimits {
  /** Calls in progress. */
  readonly maxCalls: number;
  /** Calls of one uid. */
  readonly maxCallsPerUid: number;
}

const NOTHING: BidiHandler = { message() {}, end() {} };

/** Every method of the socket passes it, also those that need no identity. */
export class CallGate {
  readonly #log: Logger;
  readonly #limits: CallGateLimits;
  readonly #perUid = new Map<number, number>();
  /** Users who were warned of; as long as they have calls. */
  readonly #warned = new Set<number>();
  #running = 0;
  #refused = 0;

  constructor(log: Logger, limits: CallGateLimits) {
    this.#log = log;
    this.#limits = limits;
  }

  /** Calls in progress. */
  get running(): number {
    return this.#running;
  }

  /** Calls refused so far. */
  get refused(): number {
    return this.#refused;
  }

  /** The method behind the gate. */
  guard(method: Method<ConnectedPeer>): Method<ConnectedPeer> {
    if (method.kind === "single") {
      return {
        kind: "single",
        open: (call) => void this.#admit(call),
        run: (call, request) => method.run(call, request),
      };
    }
    return {
      kind: "bidi",
      open: (call) => (this.#admit(call) ? method.open(call) : NOTHING),
    };
  }

  /** False: the call has ended. */
  #admit(call: WorkloadCall): boolean {
    const { peer } = call;
    const held = this.#perUid.get(peer.uid) ?? 0;
    if (held >= this.#limits.maxCallsPerUid) {
      this.#refuseUser(call, held);
      return false;
    }
    if (this.#running >= this.#limits.maxCalls) {
      this.#refused++;
      call.end(GrpcCode.UNAVAILABLE, "too many calls");
      return false;
    }
    this.#running++;
    this.#perUid.set(peer.uid, held + 1);
    call.onClose = () => this.#leave(peer.uid);
    return true;
  }

  /** The connection goes with it, and what it holds of our memory. */
  #refuseUser(call: WorkloadCall, held: number): void {
    this.#refused++;
    const { peer } = call;
    if (!this.#warned.has(peer.uid)) {
      this.#warned.add(peer.uid);
      this.#log.warn("User makes too many calls", { caller_uid: peer.uid, limit: held });
    }
    call.end(GrpcCode.UNAVAILABLE, "too many calls of this user");
    peer.refuse();
  }

  #leave(uid: number): void {
    this.#running--;
    const left = (this.#perUid.get(uid) ?? 1) - 1;
    if (left > 0) this.#perUid.set(uid, left);
    else {
      this.#perUid.delete(uid);
      this.#warned.delete(uid);
    }
  }
}
