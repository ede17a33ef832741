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
  /** Bytes of one request. A call of a method that takes more counts as several, for so much may wait half sent. */
  readonly maxRequest?: number;
}

const NOTHING: BidiHandler = { message() {}, end() {} };

/** Every method of the socket passes it, also those that need no identity. */
export class CallGate {
  readonly #log: Logger;
  readonly #limits: CallGateLimits;
  /** Bytes of the request of a call that counts once. */
  readonly #usualRequest: number;
  readonly #perUid = new Map<number, number>();
  /** Users who were warned of; as long as they have calls. */
  readonly #warned = new Set<number>();
  /** What all calls in progress count together. */
  #held = 0;
  #running = 0;
  #refused = 0;

  constructor(log: Logger, limits: CallGateLimits) {
    this.#log = log;
    this.#limits = limits;
    this.#usualRequest = limits.maxRequest ?? Number.POSITIVE_INFINITY;
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
    const { maxRequest } = method;
    const weight = maxRequest === undefined ? 1 : Math.max(1, Math.ceil(maxRequest / this.#usualRequest));
    const bounds = maxRequest === undefined ? {} : { maxRequest };
    if (method.kind === "single") {
      return {
        kind: "single",
        ...bounds,
        open: (call) => void this.#admit(call, weight),
        run: (call, request) => method.run(call, request),
      };
    }
    return {
      kind: "bidi",
      ...bounds,
      open: (call) => (this.#admit(call, weight) ? method.open(call) : NOTHING),
    };
  }

  /** False: the call has ended. */
  #admit(call: WorkloadCall, weight: number): boolean {
    const { peer } = call;
    const held = this.#perUid.get(peer.uid) ?? 0;
    if (held + weight > this.#limits.maxCallsPerUid) {
      this.#refuseUser(call, held);
      return false;
    }
    if (this.#held + weight > this.#limits.maxCalls) {
      this.#refused++;
      call.end(GrpcCode.UNAVAILABLE, "too many calls");
      return false;
    }
    this.#running++;
    this.#held += weight;
    this.#perUid.set(peer.uid, held + weight);
    call.onClose = () => this.#leave(peer.uid, weight);
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

  #leave(uid: number, weight: number): void {
    this.#running--;
    this.#held -= weight;
    const left = (this.#perUid.get(uid) ?? weight) - weight;
    if (left > 0) this.#perUid.set(uid, left);
    else {
      this.#perUid.delete(uid);
      this.#warned.delete(uid);
    }
  }
}
