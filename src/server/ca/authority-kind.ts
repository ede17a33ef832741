/** What differs between the kinds of authorities: how one is made, stored, found again, published and revoked. */
import type { KeyType } from "../../pki/keys.ts";
import type { TrustBundle } from "../../spiffe/bundle.ts";
import type { Authority, AuthoritySlots } from "./authority-slots.ts";
import type { BundlePart } from "./bundle-marks.ts";
import type { Journal, JournalEntry } from "./journal.ts";
import type { ManagedKey } from "./key-manager.ts";
import type { SlotId } from "./slots.ts";

/** One kind. `A` is an authority in use, `E` its entry in the journal. */
export interface AuthorityKind<A extends Authority, E extends JournalEntry> {
  /** Begins log lines, such as `X509 CA`. */
  readonly name: string;
  readonly keyType: KeyType;
  /** Its place in the bundle. */
  readonly part: BundlePart;
  /** The ID of a slot's key in the key manager, as SPIRE names it. */
  keyId(slot: SlotId): string;
  entries(journal: Journal): readonly E[];
  withEntries(journal: Journal, entries: readonly E[]): Journal;
  /** Makes an authority of a new key. */
  make(slot: SlotId, key: ManagedKey, now: number): Promise<A>;
  /** The entry of an authority that was just made. */
  entryOf(authority: A): E;
  /** A bundle that holds this authority and nothing else. */
  bundleOf(authority: A): TrustBundle;
  /** The authority of an entry and the key of its slot. Throws when the two do not belong together. */
  revive(entry: E, key: ManagedKey): A;
  /** Whether the bundle holds the very authority of the entry. */
  isPublished(entry: E, bundle: TrustBundle): boolean;
  /** Throws `INVALID_ARGUMENT` for one that must not be revoked. */
  checkRevocation(authorityId: string, slots: AuthoritySlots<A, E>, bundle: TrustBundle): void;
  /** Called when a start finds no authority to go on with, before the first takes a slot. */
  beforeFirst?(entries: readonly E[]): Promise<void>;
}
