/** Keeps the server's authorities alive: prepares the next ones, lets them take over in time, and tidies the bundle. */
import { errorText } from "../../lib/errors.ts";
import { isAbort, type Runnable } from "../../lib/tasks.ts";
import type { KeyType } from "../../pki/keys.ts";
import type { DataStore } from "../datastore/datastore.ts";
import { Authorities } from "./authorities.ts";
import type { X509Authority } from "./authority.ts";
import { prunedBundle } from "./bundle-pruning.ts";
import type { KeyJournalEntry, X509JournalEntry } from "./journal.ts";
import { JournalBook } from "./journal-book.ts";
import { keyKind, type SigningKey } from "./signing-key.ts";
import { requireTrustDomain, type X509KindDeps, x509Kind } from "./x509-kind.ts";

/** What the manager needs. */
export interface CaManagerDeps extends X509KindDeps {
  readonly store: Pick<DataStore, "name" | "bundles" | "caJournal" | "transaction">;
  /** Type of the keys that sign JWT-SVIDs; absent: there are none. */
  readonly jwtKeyType?: KeyType;
  /** Type of the keys that sign WIT-SVIDs; absent: there are none. */
  readonly witKeyType?: KeyType;
}

const TICK_MS = 10_000;
const PRUNE_MS = 6 * 60 * 60 * 1_000;
/** Rotations that may fail in a row before the server calls itself unhealthy. */
const MAX_FAILURES = 10;

/** Whether the CA does its work; `detail` says why not. */
export interface CaHealth {
  readonly ok: boolean;
  readonly detail: string;
}

/** One kind of authorities, under the name that messages have for one of them. */
interface Rotated {
  readonly name: string;
  readonly authorities: Pick<Authorities<SigningKey | X509Authority, never>, "active" | "load" | "rotate">;
  failures: number;
}

/** `initialize` before anything is to be signed; `run` keeps the authorities fresh. */
export class CaManager implements Runnable {
  readonly x509: Authorities<X509Authority, X509JournalEntry>;
  /** `undefined` where JWT-SVIDs are disabled. */
  readonly jwt: Authorities<SigningKey, KeyJournalEntry> | undefined;
  /** `undefined` where WIT-SVIDs are disabled. */
  readonly wit: Authorities<SigningKey, KeyJournalEntry> | undefined;
  readonly #deps: CaManagerDeps;
  readonly #book: JournalBook;
  /** In the order in which they are rotated: without a CA there is nothing to sign for. */
  readonly #rotated: readonly Rotated[];
  #ready: Promise<void> | undefined;
  #pruneAt = 0;

  constructor(deps: CaManagerDeps) {
    const { trustDomain, ttlMs } = deps.profile;
    this.#deps = deps;
    this.#book = new JournalBook(deps.store);
    const parts = { ...deps, book: this.#book, trustDomain };
    const keysOf = (which: "jwt" | "wit", keyType: KeyType | undefined) =>
      keyType && new Authorities(parts, keyKind(which, { random: deps.random, trustDomain, ttlMs, keyType }));
    this.x509 = new Authorities(parts, x509Kind(deps));
    this.jwt = keysOf("jwt", deps.jwtKeyType);
    this.wit = keysOf("wit", deps.witKeyType);
    this.#rotated = [
      { name: "X509 CA", authorities: this.x509, failures: 0 },
      ...(this.jwt === undefined ? [] : [{ name: "JWT key", authorities: this.jwt, failures: 0 }]),
      ...(this.wit === undefined ? [] : [{ name: "WIT key", authorities: this.wit, failures: 0 }]),
    ];
  }

  /**
   * Goes on with the authorities of the last run, or makes the first. Throws `DATA_LOSS` when what was stored of them
   * is damaged, `FAILED_PRECONDITION` when it is another trust domain's, and whatever keeps the first authority of a
   * kind from being made.
   */
  initialize(): Promise<void> {
    this.#ready ??= this.#initialize();
    return this.#ready;
  }

  async #initialize(): Promise<void> {
    await this.#book.load();
    requireTrustDomain(this.#book.journal.x509, this.#deps.profile.trustDomain, this.#book.place);
    for (const { authorities } of this.#rotated) {
      await authorities.load();
      await authorities.rotate();
    }
  }

  /** Looks every ten seconds at what is due. Failures are logged and tried again. */
  async run(signal: AbortSignal): Promise<void> {
    await this.initialize();
    try {
      for (;;) {
        await this.#prune();
        await this.#deps.clock.sleep(TICK_MS, signal);
        for (const rotated of this.#rotated) await this.#tick(rotated);
      }
    } catch (error) {
      if (!isAbort(error, signal)) throw error;
    }
  }

  /** Whether there are usable authorities and rotations succeed. */
  health(): CaHealth {
    for (const { name, authorities, failures } of this.#rotated) {
      const active = authorities.active.value;
      if (active === undefined) return { ok: false, detail: `there is no ${name} yet` };
      if (this.#deps.clock.now() >= active.notAfter) return { ok: false, detail: `the ${name} has expired` };
      if (failures > MAX_FAILURES) {
        return { ok: false, detail: `the ${name} could not be rotated ${failures} times in a row` };
      }
    }
    return { ok: true, detail: "" };
  }

  async #tick(rotated: Rotated): Promise<void> {
    try {
      await rotated.authorities.rotate();
      rotated.failures = 0;
    } catch (error) {
      rotated.failures++;
      this.#deps.log.error(`Could not rotate the ${rotated.name}; trying again`, { error: errorText(error) });
    }
  }

  async #prune(): Promise<void> {
    const { clock, log, store } = this.#deps;
    const { trustDomain } = this.#deps.profile;
    const now = clock.monotonic();
    if (now < this.#pruneAt) return;
    this.#pruneAt = now + PRUNE_MS;
    try {
      await store.transaction(async (tx) => {
        const bundle = await tx.bundles.get(trustDomain);
        if (bundle === undefined) return;
        const pruned = prunedBundle(bundle, clock.now());
        if (pruned === bundle) return;
        await tx.bundles.set(pruned);
        log.info("Expired authorities were removed from the bundle", { trust_domain_id: trustDomain });
      });
    } catch (error) {
      log.error("Could not prune the bundle; trying again later", { error: errorText(error) });
    }
  }
}
