/**
 * The X.509 authorities of this server: which one signs, which one is next, and the journal from which a restart
 * goes on. Each step is stored before it takes effect. Steps must not overlap; the manager sees to that.
 */
import type { Clock } from "../../lib/clock.ts";
import { AgentError, errorText } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import type { Random } from "../../lib/random.ts";
import { type Watchable, WatchableValue } from "../../lib/watchable.ts";
import { parseCertificate } from "../../pki/certificate.ts";
import { type KeyType, subjectKeyId } from "../../pki/keys.ts";
import { emptyBundle, type TrustBundle } from "../../spiffe/bundle.ts";
import { type TrustDomain, trustDomainId } from "../../spiffe/id.ts";
import type { DataStore } from "../datastore/datastore.ts";
import { type AuthorityProfile, authorityOf, keyIdOf, selfSignedAuthority, type X509Authority } from "./authority.ts";
import { decodeJournal, encodeJournal, type JournalEntry } from "./journal.ts";
import type { KeyManager } from "./key-manager.ts";
import { nextStep, otherSlot, type Step } from "./slots.ts";

/** What the authorities need. */
export interface X509AuthoritiesDeps {
  readonly store: Pick<DataStore, "name" | "bundles" | "caJournal" | "transaction">;
  readonly keys: KeyManager;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly profile: AuthorityProfile;
  readonly keyType: KeyType;
}

/** An authority as administrators see it. */
export type AuthorityState = Pick<JournalEntry, "authorityId" | "notAfter">;

/** One authority per status; the newest of the old ones. */
export interface AuthorityStates {
  readonly active: AuthorityState | undefined;
  readonly prepared: AuthorityState | undefined;
  readonly old: AuthorityState | undefined;
}

export class X509Authorities {
  readonly #deps: X509AuthoritiesDeps;
  readonly #active = new WatchableValue<X509Authority | undefined>(undefined);
  #next: X509Authority | undefined;
  #entries: readonly JournalEntry[] = [];

  constructor(deps: X509AuthoritiesDeps) {
    this.#deps = deps;
  }

  /** The authority that signs; `undefined` before the first. */
  get active(): Watchable<X509Authority | undefined> {
    return this.#active;
  }

  /** What administrators see. */
  get states(): AuthorityStates {
    return {
      active: this.#active.value,
      prepared: this.#next,
      old: this.#entries.findLast((entry) => entry.status === "old"),
    };
  }

  /**
   * Goes on where the journal ends. Throws `DATA_LOSS` when that is damaged, `FAILED_PRECONDITION` when it is another
   * trust domain's, `UNAVAILABLE` when it cannot be read.
   */
  async load(): Promise<void> {
    const { store, profile } = this.#deps;
    const data = await store.caJournal.load();
    const x509 = data === undefined ? [] : decodeJournal(data, store.name).x509;
    requireTrustDomain(x509, profile.trustDomain, store.name);
    const bundle = await store.bundles.get(profile.trustDomain);
    let current: X509Authority | undefined;
    for (const entry of x509.toReversed()) {
      if (entry.status === "old") continue;
      const authority = await this.#revive(entry, bundle);
      if (authority === undefined) continue;
      if (entry.status === "active") current ??= authority;
      else this.#next ??= authority;
    }
    this.#entries = x509.map((entry) => {
      const isUsed = [current, this.#next].some((used) => used?.authorityId === entry.authorityId);
      return isUsed ? entry : { ...entry, status: "old" };
    });
    if (current !== undefined) this.#active.set(current);
    else if (this.#next === undefined) await this.#spareKeys();
  }

  /**
   * Before the first authority takes a slot: a key there that no expired authority explains belongs to a CA which
   * another datastore, or another backup of this one, knows of. Overwriting it would end that CA for good.
   */
  async #spareKeys(): Promise<void> {
    const { keys, clock, log } = this.#deps;
    for (const slot of ["A", "B"] as const) {
      const key = await keys.getKey(keyIdOf(slot));
      if (key === undefined) continue;
      const authorityId = Buffer.from(subjectKeyId(key.signer.publicKeySpki)).toString("hex");
      const known = this.#entries.find((entry) => entry.authorityId === authorityId);
      if (known !== undefined && clock.now() >= known.notAfter) continue;
      const path = await keys.setAside(clock.now());
      log.warn("The keys are of a CA that the datastore does not know; they were set aside", {
        authority_id: authorityId,
        ...(path !== undefined && { path }),
      });
      return;
    }
  }

  /** What is due at `now` (ms). */
  step(now: number): Step {
    return nextStep({ current: this.#active.value, next: this.#next }, now);
  }

  /** Makes the next authority and publishes it in the bundle. One that is prepared already is replaced. */
  async prepare(): Promise<AuthorityState> {
    const { store, keys, clock, random, log, profile, keyType } = this.#deps;
    const slot = this.#active.value === undefined ? "A" : otherSlot(this.#active.value.slot);
    const key = await keys.generateKey(keyIdOf(slot), keyType);
    // The slot's former key is gone, whatever happens below.
    this.#next = undefined;
    const authority = await selfSignedAuthority(profile, slot, key, clock.now(), random);
    const entry: JournalEntry = {
      slot,
      authorityId: authority.authorityId,
      status: "prepared",
      issuedAt: authority.issuedAt,
      notAfter: authority.notAfter,
      certificate: authority.ca.certificate,
    };
    const entries = [...this.#entries.map((other) => (other.status === "prepared" ? old(other) : other)), entry];
    await store.transaction(async (tx) => {
      const x509Authorities = [{ certificate: entry.certificate, tainted: false }];
      await tx.bundles.append({ ...emptyBundle(profile.trustDomain), x509Authorities });
      await tx.caJournal.save(encodeJournal({ x509: entries }));
    });
    this.#entries = entries;
    this.#next = authority;
    log.info("X509 CA prepared", fields(authority));
    return authority;
  }

  /** Lets the next authority sign. Throws `FAILED_PRECONDITION` when none is prepared. */
  async activate(): Promise<AuthorityState> {
    const { store, log } = this.#deps;
    const next = this.#next;
    if (next === undefined) throw new AgentError("FAILED_PRECONDITION", "no X509 authority is prepared");
    const entries = this.#entries.map((entry): JournalEntry => {
      if (entry.authorityId === next.authorityId) return { ...entry, status: "active" };
      return entry.status === "active" ? old(entry) : entry;
    });
    await store.caJournal.save(encodeJournal({ x509: entries }));
    this.#entries = entries;
    this.#next = undefined;
    this.#active.set(next);
    log.info("X509 CA activated", fields(next));
    return next;
  }

  /** The authority of a journal entry, if it can still sign what peers accept. Guards against restored backups. */
  async #revive(entry: JournalEntry, bundle: TrustBundle | undefined): Promise<X509Authority | undefined> {
    const { keys, clock, log, profile } = this.#deps;
    const drop = (reason: string): undefined => {
      log.warn("X509 CA of the journal is not used", { ...fields(entry), slot_id: entry.slot, reason });
    };
    if (clock.now() >= entry.notAfter) return drop("expired");
    const isPublished = bundle?.x509Authorities.some(
      (authority) => Buffer.compare(authority.certificate, entry.certificate) === 0,
    );
    if (isPublished !== true) return drop("not in the stored bundle");
    const key = await keys.getKey(keyIdOf(entry.slot));
    if (key === undefined) return drop("the key manager has no key for it");
    try {
      return authorityOf(profile.trustDomain, entry, key);
    } catch (error) {
      return drop(errorText(error));
    }
  }
}

/** A server of another trust domain would replace the keys and bundle of the one whose datastore this is. */
function requireTrustDomain(entries: readonly JournalEntry[], trustDomain: TrustDomain, place: string): void {
  for (const { certificate } of entries) {
    const [uri] = parseCertificate(certificate).uriSans;
    if (uri === trustDomainId(trustDomain)) continue;
    throw new AgentError(
      "FAILED_PRECONDITION",
      `${place} belongs to ${uri}, and trust_domain is "${trustDomain}": correct it, or give this server a datastore and a key file of its own; nothing was changed`,
    );
  }
}

function old(entry: JournalEntry): JournalEntry {
  return { ...entry, status: "old" };
}

function fields(authority: AuthorityState): { readonly authority_id: string; readonly expires_at: string } {
  return { authority_id: authority.authorityId, expires_at: new Date(authority.notAfter).toISOString() };
}
