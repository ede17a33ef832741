/**
 * The agent's side of `SyncAuthorizedEntries`: a small set comes whole, of a large one only revisions come, and the
 * agent asks for the entries that are new or changed, a page at a time.
 */
import {
  type EntryRevision,
  SyncAuthorizedEntriesRequest,
  type SyncAuthorizedEntriesResponse,
} from "../gen/spire/api/server/entry/v1/entry.ts";
import { type Entry, EntryMask } from "../gen/spire/api/types/entry.ts";
import { AgentError } from "../lib/errors.ts";
import type { AuthorizedEntry } from "../spiffe/entry.ts";
import type { Conversation } from "./server-client-rpc.ts";

/** The fields that the agent needs; `id` always comes. */
export const ENTRY_MASK: EntryMask = EntryMask.fromPartial({
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

/** More authorized entries than this are a mistake of the server, not a node's workloads. */
export const MAX_ENTRIES = 200_000;

/** What the server said: entries as sent, and the IDs of those that have not changed. */
export interface SyncOutcome {
  readonly entries: readonly Entry[];
  readonly unchanged: readonly string[];
}

/** Holds the conversation. `known` are the entries that the agent has. Throws `INTERNAL` when the server leaves the protocol. */
export async function syncEntries(
  conversation: Conversation<SyncAuthorizedEntriesRequest, SyncAuthorizedEntriesResponse>,
  known: ReadonlyMap<string, AuthorizedEntry>,
): Promise<SyncOutcome> {
  conversation.send(SyncAuthorizedEntriesRequest.fromPartial({ outputMask: ENTRY_MASK }));
  const first = await expectMessage(conversation);
  if (first.entryRevisions.length === 0) return { entries: await readWhole(conversation, first), unchanged: [] };

  const revisions = await readRevisions(conversation, first);
  const unchanged: string[] = [];
  const wanted: string[] = [];
  for (const revision of revisions.values()) {
    (isUnchanged(revision, known.get(revision.id)) ? unchanged : wanted).push(revision.id);
  }
  wanted.sort();
  const entries: Entry[] = [];
  const pageSize = first.entryRevisions.length;
  for (let start = 0; start < wanted.length; start += pageSize) {
    const ids = wanted.slice(start, start + pageSize);
    conversation.send(SyncAuthorizedEntriesRequest.fromPartial({ ids }));
    await readPage(conversation, new Set(ids), entries);
  }
  return { entries, unchanged };
}

async function readWhole(
  conversation: Conversation<SyncAuthorizedEntriesRequest, SyncAuthorizedEntriesResponse>,
  first: SyncAuthorizedEntriesResponse,
): Promise<Entry[]> {
  const entries: Entry[] = [];
  for (let message = first; ; message = await expectMessage(conversation)) {
    if (message.entryRevisions.length > 0) throw breach("sent revisions among entries");
    for (const entry of message.entries) entries.push(entry);
    if (entries.length > MAX_ENTRIES) throw breach(`sent more than ${MAX_ENTRIES} entries`);
    if (!message.more) return entries;
    if (message.entries.length === 0) throw breach("sent an empty page and announced more");
  }
}

async function readRevisions(
  conversation: Conversation<SyncAuthorizedEntriesRequest, SyncAuthorizedEntriesResponse>,
  first: SyncAuthorizedEntriesResponse,
): Promise<Map<string, EntryRevision>> {
  const revisions = new Map<string, EntryRevision>();
  for (let message = first; ; message = await expectMessage(conversation)) {
    if (message.entries.length > 0) throw breach("sent entries among revisions");
    for (const revision of message.entryRevisions) revisions.set(revision.id, revision);
    if (revisions.size > MAX_ENTRIES) throw breach(`sent more than ${MAX_ENTRIES} entries`);
    if (!message.more) return revisions;
    if (message.entryRevisions.length === 0) throw breach("sent an empty page and announced more");
  }
}

/** Adds the answer to one request for IDs. IDs that the server no longer knows are silently left out by it. */
async function readPage(
  conversation: Conversation<SyncAuthorizedEntriesRequest, SyncAuthorizedEntriesResponse>,
  asked: Set<string>,
  entries: Entry[],
): Promise<void> {
  for (;;) {
    const message = await expectMessage(conversation);
    if (message.entryRevisions.length > 0) throw breach("sent revisions among entries");
    for (const entry of message.entries) {
      if (!asked.delete(entry.id)) throw breach("sent an entry that was not asked for");
      entries.push(entry);
    }
    if (!message.more) return;
    if (message.entries.length === 0) throw breach("sent an empty page and announced more");
  }
}

/** An entry that was deleted and made again under its ID has another creation time. */
function isUnchanged(revision: EntryRevision, known: AuthorizedEntry | undefined): boolean {
  return (
    known !== undefined &&
    known.revision === revision.revisionNumber &&
    (revision.createdAt === 0n || BigInt(known.createdAt) === revision.createdAt)
  );
}

async function expectMessage(
  conversation: Conversation<SyncAuthorizedEntriesRequest, SyncAuthorizedEntriesResponse>,
): Promise<SyncAuthorizedEntriesResponse> {
  const message = await conversation.next();
  if (message === undefined) throw breach("ended the stream too early");
  return message;
}

function breach(what: string): AgentError {
  return new AgentError("INTERNAL", `SyncAuthorizedEntries: the server ${what}`);
}
