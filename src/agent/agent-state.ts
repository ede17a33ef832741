/** The agent's identity and bundle, in memory and stored: one owner, so that what is stored is never a mixture. */
import type { Clock } from "../lib/clock.ts";
import { errorText } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import { sameAuthorities, type TrustBundle } from "../spiffe/bundle.ts";
import type { AgentData } from "./agent-data.ts";
import type { AgentIdentity } from "./agent-identity.ts";
import { goodTime } from "./good-time.ts";
import type { AgentHealth } from "./health.ts";
import type { AgentStorage } from "./storage.ts";

/** Dependencies of `AgentState`. */
export interface AgentStateDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly health: AgentHealth;
  readonly storage: AgentStorage;
}

/** The latest good time is stored this often when nothing else is. */
const STAMP_INTERVAL_MS = 600_000;

/** A disk that cannot be written impairs the next start, not this run. */
export class AgentState {
  readonly #deps: AgentStateDeps;
  #identity: AgentIdentity | undefined;
  #bundle: TrustBundle;
  /** Of the monotonic clock. */
  #savedAt: number;
  #goodTime = 0;
  /** Changes come one after the other: what is stored last is what holds. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(deps: AgentStateDeps, initial: { readonly identity: AgentIdentity; readonly bundle: TrustBundle }) {
    this.#deps = deps;
    this.#identity = initial.identity;
    this.#bundle = initial.bundle;
    this.#savedAt = deps.clock.monotonic();
    this.#tell();
  }

  /** Undefined after a ban. */
  get identity(): AgentIdentity | undefined {
    return this.#identity;
  }

  /** The bundle of our trust domain. */
  get bundle(): TrustBundle {
    return this.#bundle;
  }

  /** Takes over a new identity (and the bundle that came with it) once it is stored; returns false, changing nothing, if it cannot be. */
  adoptStored(identity: AgentIdentity, bundle?: TrustBundle): Promise<boolean> {
    return this.#inTurn(async () => {
      if (!(await this.#save({ identity, bundle: bundle ?? this.#bundle }))) return false;
      this.adopt(identity, bundle);
      return true;
    });
  }

  /** Takes over a new identity without storing it. */
  adopt(identity: AgentIdentity, bundle = this.#bundle): void {
    this.#identity = identity;
    this.#bundle = bundle;
    this.#tell();
  }

  /** Forgets the identity, here and on disk; the bundle stays, or the server could not be told from others. */
  async forgetIdentity(): Promise<void> {
    this.#identity = undefined;
    this.#tell();
    await this.#inTurn(() => this.#save({ bundle: this.#bundle }));
  }

  /** A sync brought the bundle: stored if it says something new, or if nothing was stored for long. Says whether it is new. */
  refresh(bundle: TrustBundle): Promise<boolean> {
    return this.#inTurn(async () => {
      const isNew = !sameAuthorities(this.#bundle, bundle);
      if (isNew) this.#bundle = bundle;
      if (isNew || this.#deps.clock.monotonic() - this.#savedAt >= STAMP_INTERVAL_MS) {
        const identity = this.#identity;
        await this.#save({ ...(identity === undefined ? {} : { identity }), bundle: this.#bundle });
      }
      return isNew;
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => {});
    return result;
  }

  async #save(data: Omit<AgentData, "lastGoodTime">): Promise<boolean> {
    const { clock, log, health, storage } = this.#deps;
    this.#savedAt = clock.monotonic();
    if (data.identity !== undefined) this.#goodTime = goodTime(data.identity.svid, clock.now(), this.#goodTime);
    try {
      await storage.save({ ...data, lastGoodTime: this.#goodTime });
      health.resolve("storage");
      return true;
    } catch (error) {
      log.error("Could not store the agent's state", { error: errorText(error) });
      health.report("storage", errorText(error));
      return false;
    }
  }

  #tell(): void {
    const { health } = this.#deps;
    if (this.#identity === undefined) health.set({ attested: false });
    else health.set({ attested: true, agentSvidExpiresAt: this.#identity.svid.notAfter });
  }
}
