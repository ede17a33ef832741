/** Reads registration entries from messages, by SPIRE's rules and in its words. */
import type { Entry, EntryMask } from "../../gen/spire/api/types/entry.ts";
import { publicError } from "../../lib/errors.ts";
import type { RegistrationEntry } from "../../spiffe/entry.ts";
import { parseTrustDomain, type TrustDomain } from "../../spiffe/id.ts";
import { normalizeSelectors, type Selector } from "../../spiffe/selector.ts";
import { checkDnsName } from "../dns-name.ts";
import { parseInput } from "./failure.ts";
import { memberIdFromMessage, selectorsFromMessage, workloadIdFromMessage } from "./wire.ts";
import { FULL_ENTRY } from "./wire-entry.ts";

/** What a caller may say of an entry; the rest is the server's. */
export type EntryInput = Omit<RegistrationEntry, "entryId" | "revision" | "createdAt">;

const MAX_HINT_BYTES = 1024;
/** As many as a filter may name, so that every entry can be found. */
const MAX_SELECTORS = 1_000;
/** Of the greatest length they still fit into a certificate. */
const MAX_DNS_NAMES = 200;
const MAX_FEDERATED = 1_000;
const MAX_ID_LENGTH = 255;
const ENTRY_ID = /^[A-Za-z0-9._-]*$/;

/**
 * Reads the fields that the mask names; the others are left out of the result. Throws `INVALID_ARGUMENT` that names
 * the rule. Rules between fields are `checkEntry`'s.
 */
export function entryFromMessage(
  trustDomain: TrustDomain,
  message: Entry,
  mask: EntryMask = FULL_ENTRY,
): Partial<EntryInput> {
  return {
    ...(mask.parentId && {
      parentId: parseInput("invalid parent ID", () => memberIdFromMessage(trustDomain, message.parentId)),
    }),
    ...(mask.spiffeId && {
      spiffeId: parseInput("invalid spiffe ID", () => workloadIdFromMessage(trustDomain, message.spiffeId)),
    }),
    ...(mask.admin && { admin: message.admin }),
    ...(mask.dnsNames && { dnsNames: unique(few("DNS name list", message.dnsNames, MAX_DNS_NAMES).map(dnsName)) }),
    ...(mask.downstream && { downstream: message.downstream }),
    ...(mask.expiresAt && { expiresAt: expiry(message.expiresAt) }),
    ...(mask.federatesWith && {
      federatesWith: unique(few("federates_with", message.federatesWith, MAX_FEDERATED).map(federatedTrustDomain)),
    }),
    ...(mask.selectors && { selectors: selectors(message) }),
    ...(mask.storeSvid && { storeSvid: message.storeSvid }),
    ...(mask.x509SvidTtl && { x509SvidTtl: ttl("x509_svid_ttl", message.x509SvidTtl) }),
    ...(mask.jwtSvidTtl && { jwtSvidTtl: ttl("jwt_svid_ttl", message.jwtSvidTtl) }),
    ...(mask.hint && { hint: hint(message.hint) }),
    ...(mask.additionalAttributes && {
      disableX509SvidPrefetch: message.additionalAttributes?.disableX509SvidPrefetch ?? false,
      jwtSvidIncludeJti: message.additionalAttributes?.jwtSvidIncludeJti ?? false,
    }),
  };
}

/** Reads a whole entry. */
export function wholeEntryFromMessage(trustDomain: TrustDomain, message: Entry): EntryInput {
  const entry = entryFromMessage(trustDomain, message) as EntryInput;
  checkEntry(trustDomain, entry);
  return entry;
}

/** Rules that more than one field has a part in. Throws `INVALID_ARGUMENT`. */
export function checkEntry(trustDomain: TrustDomain, entry: EntryInput): void {
  if (entry.federatesWith.includes(trustDomain)) {
    throw publicError("INVALID_ARGUMENT", `entry cannot federate with its own trust domain "${trustDomain}"`);
  }
  if (!entry.storeSvid) return;
  if (entry.disableX509SvidPrefetch) {
    throw publicError("INVALID_ARGUMENT", "specifying cache behaviour is incompatible with storable SVIDs");
  }
  if (new Set(entry.selectors.map(({ type }) => type)).size > 1) {
    throw publicError("INVALID_ARGUMENT", "selector types must be the same when store SVID is enabled");
  }
}

/** Returns an ID that a caller chose for its entry. Throws `INVALID_ARGUMENT`. */
export function checkEntryId(id: string): string {
  if (id.length > MAX_ID_LENGTH) throw publicError("INVALID_ARGUMENT", "entry ID too long");
  if (!ENTRY_ID.test(id)) throw publicError("INVALID_ARGUMENT", "entry ID contains invalid characters");
  return id;
}

function selectors(message: Entry): readonly Selector[] {
  if (message.selectors.length === 0) throw publicError("INVALID_ARGUMENT", "selector list is empty");
  return normalizeSelectors(selectorsFromMessage(few("selector list", message.selectors, MAX_SELECTORS)));
}

/** The list, if it is no longer than that. */
function few<T>(what: string, list: readonly T[], most: number): readonly T[] {
  if (list.length > most) throw publicError("INVALID_ARGUMENT", `${what} has more than ${most} members`);
  return list;
}

function dnsName(name: string): string {
  return parseInput("invalid DNS name", () => checkDnsName(name));
}

function federatedTrustDomain(name: string): TrustDomain {
  return parseInput("invalid federated trust domain", () => parseTrustDomain(name));
}

function ttl(field: string, seconds: number): number {
  if (seconds < 0) throw publicError("INVALID_ARGUMENT", `${field} cannot be negative`);
  return seconds;
}

function expiry(seconds: bigint): number {
  if (seconds < 0n) throw publicError("INVALID_ARGUMENT", "expires_at cannot be negative");
  if (seconds > BigInt(Number.MAX_SAFE_INTEGER)) throw publicError("INVALID_ARGUMENT", "expires_at is out of range");
  return Number(seconds);
}

function hint(text: string): string {
  if (Buffer.byteLength(text) > MAX_HINT_BYTES) {
    throw publicError("INVALID_ARGUMENT", `hint is too long, max length is ${MAX_HINT_BYTES} characters`);
  }
  return text;
}

function unique<T>(values: readonly T[]): readonly T[] {
  return [...new Set(values)];
}
