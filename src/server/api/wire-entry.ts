/** Registration entries between domain and messages, under masks. */
import { Entry, EntryMask } from "../../gen/spire/api/types/entry.ts";
import type { RegistrationEntry } from "../../spiffe/entry.ts";
import { idToMessage } from "./wire.ts";

/** Every field. */
export const FULL_ENTRY: EntryMask = allTrue(EntryMask.fromPartial({}));
const MASK_FIELDS = Object.keys(FULL_ENTRY) as readonly (keyof EntryMask)[];

/** What agents ask for, SPIRE's and ours. */
const AGENT_ENTRY = EntryMask.fromPartial({
  spiffeId: true,
  selectors: true,
  federatesWith: true,
  admin: true,
  downstream: true,
  revisionNumber: true,
  storeSvid: true,
  hint: true,
  createdAt: true,
  additionalAttributes: true,
});

/** Writes an entry; without a mask all of it, with one the ID and what the mask names. */
export function entryToMessage(entry: RegistrationEntry, mask: EntryMask = FULL_ENTRY): Entry {
  return {
    id: entry.entryId,
    spiffeId: mask.spiffeId ? idToMessage(entry.spiffeId) : undefined,
    parentId: mask.parentId ? idToMessage(entry.parentId) : undefined,
    selectors: mask.selectors ? entry.selectors.map(({ type, value }) => ({ type, value })) : [],
    x509SvidTtl: mask.x509SvidTtl ? entry.x509SvidTtl : 0,
    federatesWith: mask.federatesWith ? [...entry.federatesWith] : [],
    admin: mask.admin && entry.admin,
    downstream: mask.downstream && entry.downstream,
    expiresAt: mask.expiresAt ? BigInt(entry.expiresAt) : 0n,
    dnsNames: mask.dnsNames ? [...entry.dnsNames] : [],
    revisionNumber: mask.revisionNumber ? entry.revision : 0n,
    storeSvid: mask.storeSvid && entry.storeSvid,
    jwtSvidTtl: mask.jwtSvidTtl ? entry.jwtSvidTtl : 0,
    hint: mask.hint ? entry.hint : "",
    createdAt: mask.createdAt ? BigInt(entry.createdAt) : 0n,
    additionalAttributes: mask.additionalAttributes ? attributesOf(entry) : undefined,
  };
}

/** Absent, as in SPIRE, unless one of them is set. */
function attributesOf(entry: RegistrationEntry): Entry["additionalAttributes"] {
  const { disableX509SvidPrefetch, jwtSvidIncludeJti } = entry;
  return disableX509SvidPrefetch || jwtSvidIncludeJti ? { disableX509SvidPrefetch, jwtSvidIncludeJti } : undefined;
}

/**
 * Encodes entries once per mask: an agent with ten thousand entries asks for the same bytes as its neighbours and
 * as itself after a restart. Keyed by the entry object, which the index replaces with each revision.
 */
export class EntryEncoder {
  readonly #byMask = new Map(
    [FULL_ENTRY, AGENT_ENTRY].map((mask) => [keyOf(mask), new WeakMap<RegistrationEntry, Uint8Array>()]),
  );

  /** The encoded entry. The bytes are shared and must not be changed. */
  encode(entry: RegistrationEntry, mask: EntryMask = FULL_ENTRY): Uint8Array {
    const cache = this.#cache(mask);
    const known = cache?.get(entry);
    if (known !== undefined) return known;
    const bytes = Entry.encode(entryToMessage(entry, mask)).finish();
    cache?.set(entry, bytes);
    return bytes;
  }

  /** Callers choose the mask: besides those that agents have, the first few are remembered, and nobody can spoil more. */
  #cache(mask: EntryMask): WeakMap<RegistrationEntry, Uint8Array> | undefined {
    const key = keyOf(mask);
    const known = this.#byMask.get(key);
    if (known !== undefined || this.#byMask.size >= MAX_MASKS) return known;
    const made = new WeakMap<RegistrationEntry, Uint8Array>();
    this.#byMask.set(key, made);
    return made;
  }
}

const MAX_MASKS = 8;

function keyOf(mask: EntryMask): string {
  return MASK_FIELDS.map((field) => (mask[field] ? "1" : "0")).join("");
}

function allTrue(mask: EntryMask): EntryMask {
  return Object.fromEntries(Object.keys(mask).map((field) => [field, true])) as unknown as EntryMask;
}
