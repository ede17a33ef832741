/**
 * The authorities of one kind: which one signs, which one is next, and the journal from which a restart goes on. Each
 * step is stored before it takes effect, and no two are taken at once.
 */
import type { Clock } from "../../lib/clock.ts";
import { errorText, publicError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import { type Watchable, WatchableValue } from "../../lib/watchable.ts";
import type { TrustBundle } from "../../spiffe/bundle.ts";
import type { TrustDomain } from "../../spiffe/id.ts";
import type { DataStore } from "../datastore/datastore.ts";
import type { AuthorityAdmin, AuthorityState, AuthorityStates } from "../ports.ts";
import type { AuthorityKind } from "./authority-kind.ts";
import type { Authority, AuthoritySlots } from "./authority-slots.ts";
import { authorityToActivate, authorityToTaint } from "./authority-steps.ts";
import { revokedBundle, taintedBundle } from "./bundle-marks.ts";
import type { JournalEntry } from "./journal.ts";
import type { JournalBook } from "./journal-book.ts";
import type { KeyManager } from "./key-manager.ts";
import { nextStep, otherSlot, refreshHint } from "./slots.ts";

/** What the authorities need. */
export interface AuthoritiesDeps {
  readonly store: Pick<DataStore, "bundles" | "transaction">;
  /** Loaded before `load`. */
  readonly book: JournalBook;
  readonly keys: KeyManager;
  readonly clock: Clock;
  readonly log: Logger;
  readonly trustDomain: TrustDomain;
}

/** Most steps at a time: prepare, activate, prepare again after a long sleep. */
const MAX_STEPS = 4;

export class Authorities<A extends Authority, E extends JournalEntry> implements AuthorityAdmin {
  readonly #deps: AuthoritiesDeps;
  readonly #kind: AuthorityKind<A, E>;
  readonly #active = new WatchableValue<A | undefined>(undefined);
  #next: A | undefined;

  constructor(deps: AuthoritiesDeps, kind: AuthorityKind<A, E>) {
    this.#deps = deps;
    this.#kind = kind;
  }

  /** The authority that signs; `undefined` before the first. */
  get active(): Watchable<A | undefined> {
    return this.#active;
  }

  get states(): AuthorityStates {
    return {
      active: this.#active.value,
      prepared: this.#next,
      old: this.#entries.findLast(({ status }) => status === "old"),
    };
  }

  /** Goes on where the journal ends. Throws `UNAVAILABLE` when the bundle or the keys cannot be read. */
  async load(): Promise<void> {
    const { store, book, trustDomain } = this.#deps;
    const entries = this.#entries;
    const bundle = await store.bundles.get(trustDomain);
    let current: A | undefined;
    for (const entry of entries.toReversed()) {
      if (entry.status === "old") continue;
      const authority = await this.#revive(entry, bundle);
      if (authority === undefined) continue;
      if (entry.status === "active") current ??= authority;
      else this.#next ??= authority;
    }
    const used = [current?.authorityId, this.#next?.authorityId];
    const known = entries.map((entry) => (used.includes(entry.authorityId) ? entry : old(entry)));
    book.assume(this.#kind.withEntries(book.journal, known));
    if (current !== undefined) this.#active.set(current);
    else if (this.#next === undefined) await this.#kind.beforeFirst?.(known);
  }

  /** Takes all steps that are due. */
  rotate(): Promise<void> {
    return this.#deps.book.exclusive(async () => {
      for (let steps = 0; steps < MAX_STEPS; steps++) {
        const step = nextStep({ current: this.#active.value, next: this.#next }, this.#deps.clock.now());
        if (step === "wait") return;
        if (step === "activate" && this.#next !== undefined) await this.#activate(this.#next);
        else await this.#prepare();
      }
    });
  }

  prepare(): Promise<AuthorityState> {
    return this.#deps.book.exclusive(() => this.#prepare());
  }

  activate(authorityId: string): Promise<AuthorityState> {
    return this.#deps.book.exclusive(() => this.#activate(authorityToActivate(authorityId, this.#slots)));
  }

  taint(authorityId: string): Promise<AuthorityState> {
    const { book, log, store } = this.#deps;
    return book.exclusive(async () => {
      const entry = authorityToTaint(authorityId, this.#slots);
      await store.transaction(async (tx) => {
        await tx.bundles.set(taintedBundle(await this.#bundle(tx), this.#kind.part, authorityId));
      });
      log.info(`${this.#kind.name} tainted`, fields(entry));
      return entry;
    });
  }

  revoke(authorityId: string): Promise<AuthorityState | undefined> {
    const { book, log } = this.#deps;
    return book.exclusive(async () => {
      const entry = this.#entries.find((other) => other.authorityId === authorityId);
      const left = this.#entries.filter((other) => other !== entry);
      await book.write(this.#kind.withEntries(book.journal, left), async (tx) => {
        const bundle = await this.#bundle(tx);
        this.#kind.checkRevocation(authorityId, this.#slots, bundle);
        await tx.bundles.set(revokedBundle(bundle, this.#kind.part, authorityId));
      });
      log.info(`${this.#kind.name} revoked`, { local_authority_id: authorityId });
      return entry;
    });
  }

  /** One that is prepared already is replaced. */
  async #prepare(): Promise<A> {
    const { book, keys, clock, log } = this.#deps;
    const kind = this.#kind;
    const slot = this.#active.value === undefined ? "A" : otherSlot(this.#active.value.slot);
    const key = await keys.generateKey(kind.keyId(slot), kind.keyType);
    // The slot's former key is gone, whatever happens below.
    this.#next = undefined;
    const authority = await kind.make(slot, key, clock.now());
    const others = this.#entries.map((entry) => (entry.status === "prepared" ? old(entry) : entry));
    const entries = [...others, kind.entryOf(authority)];
    await book.write(kind.withEntries(book.journal, entries), async (tx) => {
      await tx.bundles.append({ ...kind.bundleOf(authority), refreshHint: refreshHint(authority) });
    });
    this.#next = authority;
    log.info(`${kind.name} prepared`, fields(authority));
    return authority;
  }

  async #activate(next: A): Promise<A> {
    const { book, log } = this.#deps;
    const entries = this.#entries.map((entry): E => {
      if (entry.authorityId === next.authorityId) return { ...entry, status: "active" };
      return entry.status === "active" ? old(entry) : entry;
    });
    await book.write(this.#kind.withEntries(book.journal, entries));
    this.#next = undefined;
    this.#active.set(next);
    log.info(`${this.#kind.name} activated`, fields(next));
    return next;
  }

  get #entries(): readonly E[] {
    return this.#kind.entries(this.#deps.book.journal);
  }

  get #slots(): AuthoritySlots<A, E> {
    return { active: this.#active.value, prepared: this.#next, entries: this.#entries };
  }

  async #bundle(tx: Pick<DataStore, "bundles">): Promise<TrustBundle> {
    const bundle = await tx.bundles.get(this.#deps.trustDomain);
    if (bundle === undefined) throw publicError("NOT_FOUND", "bundle not found");
    return bundle;
  }

  /** The authority of a journal entry, if it can still sign what peers accept. Guards against restored backups. */
  async #revive(entry: E, bundle: TrustBundle | undefined): Promise<A | undefined> {
    const { keys, clock, log } = this.#deps;
    const drop = (reason: string): undefined => {
      log.warn(`${this.#kind.name} of the journal is not used`, { ...fields(entry), slot_id: entry.slot, reason });
    };
    if (clock.now() >= entry.notAfter) return drop("expired");
    if (bundle === undefined || !this.#kind.isPublished(entry, bundle)) return drop("not in the stored bundle");
    const key = await keys.getKey(this.#kind.keyId(entry.slot));
    if (key === undefined) return drop("the key manager has no key for it");
    try {
      return this.#kind.revive(entry, key);
    } catch (error) {
      return drop(errorText(error));
    }
  }
}

function old<E extends JournalEntry>(entry: E): E {
  return { ...entry, status: "old" };
}

function fields(authority: AuthorityState): { readonly local_authority_id: string; readonly expires_at: string } {
  return { local_authority_id: authority.authorityId, expires_at: new Date(authority.notAfter).toISOString() };
}
