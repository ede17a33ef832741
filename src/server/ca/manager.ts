/** Keeps the server's CA alive: prepares the next authority, lets it take over in time, and tidies the bundle. */
import type { Clock } from "../../lib/clock.ts";
import { errorText } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import { isAbort, type Runnable } from "../../lib/tasks.ts";
import type { Watchable } from "../../lib/watchable.ts";
import type { TrustDomain } from "../../spiffe/id.ts";
import type { DataStore } from "../datastore/datastore.ts";
import type { X509Authority } from "./authority.ts";
import { prunedBundle } from "./bundle-pruning.ts";
import {
  type AuthorityState,
  type AuthorityStates,
  X509Authorities,
  type X509AuthoritiesDeps,
} from "./x509-authorities.ts";

const TICK_MS = 10_000;
const PRUNE_MS = 6 * 60 * 60 * 1_000;
/** Rotations that may fail in a row before the server calls itself unhealthy. */
const MAX_FAILURES = 10;
/** Most steps at a time: prepare, activate, prepare again after a long sleep. */
const MAX_STEPS = 4;

/** Whether the CA does its work; `detail` says why not. */
export interface CaHealth {
  readonly ok: boolean;
  readonly detail: string;
}

/** `initialize` before anything is to be signed; `run` keeps the authority fresh. */
export class CaManager implements Runnable {
  readonly #store: Pick<DataStore, "transaction">;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #trustDomain: TrustDomain;
  readonly #x509: X509Authorities;
  #ready: Promise<void> | undefined;
  #busy: Promise<unknown> = Promise.resolve();
  #failures = 0;
  #pruneAt = 0;

  constructor(deps: X509AuthoritiesDeps) {
    this.#store = deps.store;
    this.#clock = deps.clock;
    this.#log = deps.log;
    this.#trustDomain = deps.profile.trustDomain;
    this.#x509 = new X509Authorities(deps);
  }

  /** The authority that signs; `undefined` before `initialize`. */
  get active(): Watchable<X509Authority | undefined> {
    return this.#x509.active;
  }

  /** The authorities as administrators see them. */
  get states(): AuthorityStates {
    return this.#x509.states;
  }

  /**
   * Goes on with the authorities of the last run, or makes the first. Throws `DATA_LOSS` when what was stored of them
   * is damaged, and whatever keeps the first authority from being made.
   */
  initialize(): Promise<void> {
    this.#ready ??= this.#exclusive(async () => {
      await this.#x509.load();
      await this.#rotate();
    });
    return this.#ready;
  }

  /** Looks every ten seconds at what is due. Failures are logged and tried again. */
  async run(signal: AbortSignal): Promise<void> {
    await this.initialize();
    try {
      for (;;) {
        await this.#prune();
        await this.#clock.sleep(TICK_MS, signal);
        await this.#tick();
      }
    } catch (error) {
      if (!isAbort(error, signal)) throw error;
    }
  }

  /** Prepares an authority now, in the place of one that is prepared already. */
  prepareNext(): Promise<AuthorityState> {
    return this.#exclusive(() => this.#x509.prepare());
  }

  /** Lets the prepared authority sign now. Throws `FAILED_PRECONDITION` when there is none. */
  activateNext(): Promise<AuthorityState> {
    return this.#exclusive(() => this.#x509.activate());
  }

  /** Whether there is a usable authority and rotations succeed. */
  health(): CaHealth {
    const active = this.#x509.active.value;
    if (active === undefined) return { ok: false, detail: "there is no X509 CA yet" };
    if (this.#clock.now() >= active.notAfter) return { ok: false, detail: "the X509 CA has expired" };
    if (this.#failures > MAX_FAILURES) {
      return { ok: false, detail: `the X509 CA could not be rotated ${this.#failures} times in a row` };
    }
    return { ok: true, detail: "" };
  }

  async #tick(): Promise<void> {
    try {
      await this.#exclusive(() => this.#rotate());
      this.#failures = 0;
    } catch (error) {
      this.#failures++;
      this.#log.error("Could not rotate the X509 CA; trying again", { error: errorText(error) });
    }
  }

  /** Takes all steps that are due. */
  async #rotate(): Promise<void> {
    for (let steps = 0; steps < MAX_STEPS; steps++) {
      const step = this.#x509.step(this.#clock.now());
      if (step === "wait") return;
      if (step === "prepare") await this.#x509.prepare();
      else await this.#x509.activate();
    }
  }

  async #prune(): Promise<void> {
    const now = this.#clock.monotonic();
    if (now < this.#pruneAt) return;
    this.#pruneAt = now + PRUNE_MS;
    try {
      await this.#store.transaction(async (tx) => {
        const bundle = await tx.bundles.get(this.#trustDomain);
        if (bundle === undefined) return;
        const pruned = prunedBundle(bundle, this.#clock.now());
        if (pruned === bundle) return;
        await tx.bundles.set(pruned);
        this.#log.info("Expired authorities were removed from the bundle", { trust_domain_id: this.#trustDomain });
      });
    } catch (error) {
      this.#log.error("Could not prune the bundle; trying again later", { error: errorText(error) });
    }
  }

  /** One step at a time, whoever asks. */
  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#busy.then(work);
    this.#busy = result.catch(() => {});
    return result;
  }
}
