/** The connection to the server as the current agent SVID sees it: made when needed, dropped when it fails. */
import type { Clock } from "../lib/clock.ts";
import { AgentError, errorCode, findAgentError, type Recovery } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import { type Watchable, WatchableValue } from "../lib/watchable.ts";
import type { X509Svid } from "../spiffe/svid.ts";
import type { AgentHealth } from "./health.ts";
import { isDisconnected } from "./retry-delay.ts";
import type { ServerClient } from "./server-client.ts";

/** The server refused a call because of who we are. */
export interface Refusal {
  readonly recovery: Exclude<Recovery, "retry">;
  /** The SVID with which the call was made: it may not be the current one by now. */
  readonly svid: X509Svid;
  readonly error: AgentError;
}

/** Dependencies of `ServerLink`. */
export interface ServerLinkDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly health: AgentHealth;
  /** Opens a client that shows this SVID. */
  readonly connect: (identity: X509Svid) => ServerClient;
}

/** Calls share one client; a new SVID or a failed connection brings a new one. */
export class ServerLink implements Disposable {
  readonly #deps: ServerLinkDeps;
  readonly #generation = new WatchableValue(0);
  #identity: X509Svid | undefined;
  #client: ServerClient | undefined;
  /** Told of each refusal; set once, by the rotator. */
  onRefusal: (refusal: Refusal) => void = () => {};
  /** Told when the server has answered a call made with this SVID. */
  onAccepted: (svid: X509Svid) => void = () => {};

  constructor(deps: ServerLinkDeps) {
    this.#deps = deps;
  }

  /** Grows with each new connection. */
  get generation(): Watchable<number> {
    return this.#generation;
  }

  /** The SVID that calls are made with. */
  get identity(): X509Svid | undefined {
    return this.#identity;
  }

  /** From now on calls are made with this SVID. Those in progress end by themselves, streams are ended. */
  setIdentity(identity: X509Svid | undefined): void {
    this.#identity = identity;
    this.#drop(this.#client);
    this.#generation.set(this.#generation.value + 1);
  }

  /** Makes a call. Throws what the client throws; `UNAVAILABLE` without an SVID. */
  async use<T>(call: (client: ServerClient) => Promise<T>, signal: AbortSignal): Promise<T> {
    const svid = this.#identity;
    if (svid === undefined) throw new AgentError("UNAVAILABLE", "the agent has no SVID to show the server");
    if (this.#client === undefined) {
      this.#client = this.#deps.connect(svid);
      this.#generation.set(this.#generation.value + 1);
    }
    const client = this.#client;
    try {
      const result = await call(client);
      this.#deps.health.reached(true);
      this.onAccepted(svid);
      return result;
    } catch (error) {
      signal.throwIfAborted();
      this.#judge(error, client, svid);
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#drop(this.#client);
  }

  #judge(error: unknown, client: ServerClient, svid: X509Svid): void {
    const known = findAgentError(error);
    if (isDisconnected(error)) {
      this.#drop(client);
      this.#deps.health.lost();
    } else if (errorCode(error) !== "CANCELLED") {
      this.#deps.health.reached(false);
    }
    if (known?.recovery === "reattest" || known?.recovery === "stop-serving") {
      this.onRefusal({ recovery: known.recovery, svid, error: known });
    }
  }

  #drop(client: ServerClient | undefined): void {
    client?.close();
    if (client === this.#client) this.#client = undefined;
  }
}
