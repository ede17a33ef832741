/** `entry.v1.Entry` for agents: the entries they are authorized for, whole or by the synchronization protocol. */
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import {
  EntryRevision,
  EntryService,
  type SyncAuthorizedEntriesRequest,
} from "../../gen/spire/api/server/entry/v1/entry.ts";
import type { EntryMask } from "../../gen/spire/api/types/entry.ts";
import { publicError } from "../../lib/errors.ts";
import { turn } from "../../lib/turn.ts";
import type { RegistrationEntry } from "../../spiffe/entry.ts";
import type { AuthorizedEntries } from "../ports.ts";
import { callingAgent, type RpcContext } from "../rpc-context.ts";
import { attempt } from "./failure.ts";
import { bidiMethod, type Encoded, encodedUnaryMethod, type NamedMethod } from "./method.ts";
import { EntryEncoder } from "./wire-entry.ts";

/** What the service needs. */
export interface SyncServiceDeps {
  readonly entries: AuthorizedEntries;
}

/** Entries, or revisions, in one message. */
export const SYNC_PAGE = 500;

/** Tags of length-delimited fields: `field << 3 | 2`. */
const GET_ENTRIES = (1 << 3) | 2;
const SYNC_REVISIONS = (1 << 3) | 2;
const SYNC_ENTRIES = (2 << 3) | 2;
const SYNC_MORE = 3 << 3;

/** The service's methods. */
export function syncMethods(deps: SyncServiceDeps): readonly NamedMethod[] {
  const encoder = new EntryEncoder();
  const revisions = new WeakMap<RegistrationEntry, Uint8Array>();

  const revisionOf = (entry: RegistrationEntry): Uint8Array => {
    const known = revisions.get(entry);
    if (known !== undefined) return known;
    const { entryId: id, revision: revisionNumber } = entry;
    const made = EntryRevision.encode({ id, revisionNumber, createdAt: BigInt(entry.createdAt) }).finish();
    revisions.set(entry, made);
    return made;
  };

  return [
    encodedUnaryMethod(EntryService.getAuthorizedEntries, async ({ outputMask }, context) => {
      const entries = await authorized(deps, context);
      const writer = new BinaryWriter();
      for (const [index, entry] of entries.entries()) {
        if (index > 0 && index % SYNC_PAGE === 0) await turn();
        writer.uint32(GET_ENTRIES).bytes(encoder.encode(entry, outputMask));
      }
      return writer.finish();
    }),

    bidiMethod(EntryService.syncAuthorizedEntries, async function* (incoming, context): AsyncGenerator<Encoded> {
      const first = await incoming.next();
      if (first.done === true) return;
      const { outputMask } = checkFirst(first.value);
      const entries = await authorized(deps, context);
      const wholePage = (page: readonly RegistrationEntry[], more: boolean): Encoded =>
        pageOf(
          SYNC_ENTRIES,
          page.map((entry) => encoder.encode(entry, outputMask)),
          more,
        );

      if (entries.length <= SYNC_PAGE) {
        yield wholePage(entries, false);
        return;
      }
      for (const { page, more } of pages(entries)) {
        yield pageOf(SYNC_REVISIONS, page.map(revisionOf), more);
        await turn();
      }
      let byId: ReadonlyMap<string, RegistrationEntry> | undefined;
      for (let next = await incoming.next(); next.done !== true; next = await incoming.next()) {
        // The set is that of the stream's start, as in SPIRE; the right to it is asked for anew each time.
        await context.reauthorize();
        byId ??= new Map(entries.map((entry) => [entry.entryId, entry]));
        const wanted: RegistrationEntry[] = [];
        for (const id of new Set(next.value.ids)) {
          const entry = byId.get(id);
          if (entry !== undefined) wanted.push(entry);
        }
        for (const { page, more } of pages(wanted)) {
          yield wholePage(page, more);
          await turn();
        }
      }
    }),
  ];
}

function authorized(deps: SyncServiceDeps, context: RpcContext): Promise<readonly RegistrationEntry[]> {
  return attempt("failed to fetch entries", () => deps.entries.of(callingAgent(context).agentId));
}

function checkFirst(request: SyncAuthorizedEntriesRequest): { readonly outputMask: EntryMask | undefined } {
  if (request.ids.length > 0) {
    throw publicError("INVALID_ARGUMENT", "specifying IDs on initial request is not supported");
  }
  if (request.outputMask !== undefined && !request.outputMask.revisionNumber) {
    throw publicError("INVALID_ARGUMENT", "revision number cannot be masked");
  }
  return { outputMask: request.outputMask };
}

/** At least one page, also of nothing: an answer must come. */
function* pages<T>(items: readonly T[]): Generator<{ readonly page: readonly T[]; readonly more: boolean }> {
  let start = 0;
  do {
    const end = start + SYNC_PAGE;
    yield { page: items.slice(start, end), more: end < items.length };
    start = end;
  } while (start < items.length);
}

/** A `SyncAuthorizedEntriesResponse` of parts that are encoded already. */
function pageOf(tag: number, parts: readonly Uint8Array[], more: boolean): Encoded {
  const writer = new BinaryWriter();
  for (const part of parts) writer.uint32(tag).bytes(part);
  if (more) writer.uint32(SYNC_MORE).bool(true);
  return writer.finish();
}
