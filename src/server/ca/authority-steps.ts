/** Which steps an administrator may take with which authority: pure, in SPIRE's order and words. */
import type { AgentError, ErrorCode } from "../../lib/errors.ts";
import type { TrustBundle } from "../../spiffe/bundle.ts";
import { Refused } from "../refused.ts";
import type { Authority, AuthoritySlots } from "./authority-slots.ts";
import { type BundlePart, isListed } from "./bundle-marks.ts";
import type { JournalEntry } from "./journal.ts";

/** The prepared authority, if it is the named one. Throws `INVALID_ARGUMENT`, or `INTERNAL` for an old one. */
export function authorityToActivate<A extends Authority>(
  authorityId: string,
  slots: AuthoritySlots<A, JournalEntry>,
): A {
  if (authorityId === "") throw refused("no authority ID provided");
  const { prepared } = slots;
  if (prepared?.authorityId === authorityId) return prepared;
  if (oldOne(authorityId, slots.entries) === undefined) throw refused("unexpected authority ID");
  throw refused("only Prepared authorities can be activated: unsupported local authority status: OLD", "INTERNAL");
}

/** The old authority of that ID, which may be tainted. Throws `INVALID_ARGUMENT`. */
export function authorityToTaint<E extends JournalEntry>(authorityId: string, slots: AuthoritySlots<Authority, E>): E {
  if (authorityId === "") throw refused("no authority ID provided");
  if (authorityId === slots.active?.authorityId) throw refused("unable to taint current local authority");
  if (authorityId === slots.prepared?.authorityId) {
    throw refused("only Old local authorities can be tainted: unsupported local authority status: PREPARED");
  }
  const entry = oldOne(authorityId, slots.entries);
  if (entry === undefined) throw refused("unexpected authority ID");
  return entry;
}

/** Throws `INVALID_ARGUMENT` unless it is an old CA of this server. */
export function checkCaToRevoke(authorityId: string, slots: AuthoritySlots<Authority, JournalEntry>): void {
  if (authorityId === "") throw invalidId("no authority ID provided");
  if (authorityId === slots.active?.authorityId) throw invalidId("unable to use current authority");
  if (oldOne(authorityId, slots.entries) === undefined) throw invalidId("only Old local authority can be revoked");
}

/** Throws `INVALID_ARGUMENT` unless the bundle has the key, also another server's, and it is not in use here. */
export function checkKeyToRevoke(
  authorityId: string,
  slots: AuthoritySlots<Authority, JournalEntry>,
  bundle: TrustBundle,
  kind: { readonly part: BundlePart; readonly word: string },
): void {
  if (authorityId === "") throw invalidId("no authority ID provided");
  if (authorityId === slots.prepared?.authorityId) throw invalidId("unable to use a prepared key");
  if (authorityId === slots.active?.authorityId) throw invalidId("unable to use current authority");
  if (isListed(bundle, kind.part, authorityId)) return;
  throw invalidId(`no ${kind.word} authority found with provided authority ID`);
}

function oldOne<E extends JournalEntry>(authorityId: string, entries: readonly E[]): E | undefined {
  return entries.find((entry) => entry.authorityId === authorityId && entry.status === "old");
}

function invalidId(why: string): AgentError {
  return refused(`invalid authority ID: ${why}`);
}

function refused(message: string, code: ErrorCode = "INVALID_ARGUMENT"): AgentError {
  return new Refused(code, message, {});
}
