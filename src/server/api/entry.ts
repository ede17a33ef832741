/** `entry.v1.Entry` for administrators: count, list, get, create, update and delete registration entries. */

import { uncoveredText } from "../../config/outage-text.ts";
import {
  type BatchCreateEntryResponse_Result,
  type BatchDeleteEntryResponse_Result,
  type BatchUpdateEntryResponse_Result,
  EntryService,
  type ListEntriesRequest_Filter,
} from "../../gen/spire/api/server/entry/v1/entry.ts";
import type { Entry, EntryMask } from "../../gen/spire/api/types/entry.ts";
import type { Clock } from "../../lib/clock.ts";
import { publicError } from "../../lib/errors.ts";
import { GrpcCode } from "../../lib/grpc-status.ts";
import type { LogFields, Logger } from "../../lib/log.ts";
import type { Random } from "../../lib/random.ts";
import type { RegistrationEntry } from "../../spiffe/entry.ts";
import type { TrustDomain } from "../../spiffe/id.ts";
import type { DataStore, EntryFilter } from "../datastore/datastore.ts";
import type { RpcContext } from "../rpc-context.ts";
import { uuid } from "../uuid.ts";
import { batchItem, done, type ItemOutcome, mapItems } from "./batch.ts";
import { checkEntry, checkEntryId, entryFromMessage, wholeEntryFromMessage } from "./entry-validation.ts";
import { attempt, parseInput } from "./failure.ts";
import { type NamedMethod, unaryMethod } from "./method.ts";
import {
  federatesWithFromMessage,
  memberIdFromMessage,
  selectorMatchFromMessage,
  workloadIdFromMessage,
} from "./wire.ts";
import { entryToMessage } from "./wire-entry.ts";

/** What the service needs. */
export interface EntryServiceDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: Random;
  readonly trustDomain: TrustDomain;
  readonly datastore: Pick<DataStore, "entries" | "transaction">;
  /** Milliseconds that SVIDs should outlast the server; 0 for none. */
  readonly outageBudgetMs: number;
}

/** The service's methods. */
export function entryMethods(deps: EntryServiceDeps): readonly NamedMethod[] {
  const { entries } = deps.datastore;
  return [
    unaryMethod(EntryService.countEntries, async ({ filter }) => ({
      count: await attempt("failed to count entries", () => entries.count(filterFrom(deps.trustDomain, filter))),
    })),

    unaryMethod(EntryService.listEntries, async (request) => {
      const filter = filterFrom(deps.trustDomain, request.filter);
      const page = await attempt("failed to list entries", () =>
        entries.list(filter, {
          size: Math.max(0, request.pageSize),
          token: request.pageSize > 0 ? request.pageToken : "",
        }),
      );
      return {
        entries: page.items.map((entry) => entryToMessage(entry, request.outputMask)),
        nextPageToken: page.nextToken,
      };
    }),

    unaryMethod(EntryService.getEntry, async ({ id, outputMask }, context) => {
      if (id === "") throw publicError("INVALID_ARGUMENT", "missing ID");
      context.audit({ entry_id: id });
      const entry = await attempt("failed to fetch entry", () => entries.get(id));
      if (entry === undefined) throw publicError("NOT_FOUND", "entry not found");
      return entryToMessage(entry, outputMask);
    }),

    unaryMethod(EntryService.batchCreateEntry, async (request, context) => ({
      results: await mapItems(request.entries, (entry) => create(deps, context, entry, request.outputMask)),
    })),

    unaryMethod(EntryService.batchUpdateEntry, async (request, context) => ({
      results: await mapItems(request.entries, (entry) =>
        update(deps, context, entry, request.inputMask, request.outputMask),
      ),
    })),

    unaryMethod(EntryService.batchDeleteEntry, async ({ ids }, context) => ({
      results: await mapItems(ids, (id) => remove(deps, context, id)),
    })),
  ];
}

async function create(
  deps: EntryServiceDeps,
  context: RpcContext,
  message: Entry,
  outputMask: EntryMask | undefined,
): Promise<BatchCreateEntryResponse_Result> {
  const { status, value } = await batchItem(context, deps.log, auditFields(message), async () => {
    const input = parseInput("failed to convert entry", () => ({
      ...wholeEntryFromMessage(deps.trustDomain, message),
      entryId: checkEntryId(message.id) || uuid(deps.random),
    }));
    const createdAt = Math.floor(deps.clock.now() / 1000);
    const { entry, created } = await attempt("failed to create entry", () =>
      deps.datastore.entries.create({ ...input, createdAt, revision: 0n }),
    );
    const audit = { entry_id: entry.entryId };
    if (created) return stored(deps, entry, audit);
    return { status: { code: GrpcCode.ALREADY_EXISTS, message: "similar entry already exists" }, value: entry, audit };
  });
  return { status, entry: value && entryToMessage(value, outputMask) };
}

async function update(
  deps: EntryServiceDeps,
  context: RpcContext,
  message: Entry,
  inputMask: EntryMask | undefined,
  outputMask: EntryMask | undefined,
): Promise<BatchUpdateEntryResponse_Result> {
  const { status, value } = await batchItem(context, deps.log, auditFields(message), async () => {
    const change = parseInput("failed to convert entry", () => {
      if (message.id === "") throw publicError("INVALID_ARGUMENT", "missing entry ID");
      return entryFromMessage(deps.trustDomain, message, inputMask);
    });
    // In one transaction, so that two updates of different fields do not undo each other.
    const entry = await attempt("failed to update entry", () =>
      deps.datastore.transaction(async ({ entries }) => {
        const present = await entries.get(message.id);
        if (present === undefined) throw publicError("NOT_FOUND", "entry not found");
        const wanted = { ...present, ...change };
        checkEntry(deps.trustDomain, wanted);
        return await entries.update(wanted);
      }),
    );
    return stored(deps, entry);
  });
  return { status, entry: value && entryToMessage(value, outputMask) };
}

/** An entry that was stored; the status says so if its TTL is too short for an outage, as the log does. */
function stored(
  deps: EntryServiceDeps,
  entry: RegistrationEntry,
  audit: LogFields = {},
): ItemOutcome<RegistrationEntry> {
  const outcome = done(entry, audit);
  const { entryId, spiffeId, x509SvidTtl } = entry;
  const uncovered = x509SvidTtl > 0 ? uncoveredText(x509SvidTtl * 1_000, deps.outageBudgetMs) : undefined;
  if (uncovered === undefined) return outcome;
  deps.log.warn("The TTL of an entry is too short for an outage", {
    entry_id: entryId,
    spiffe_id: spiffeId,
    reason: uncovered,
  });
  return { ...outcome, status: { code: GrpcCode.OK, message: `OK; warning: x509_svid_ttl ${uncovered}` } };
}

async function remove(
  deps: EntryServiceDeps,
  context: RpcContext,
  id: string,
): Promise<BatchDeleteEntryResponse_Result> {
  const { status } = await batchItem(context, deps.log, { entry_id: id }, async () => {
    if (id === "") throw publicError("INVALID_ARGUMENT", "missing entry ID");
    const deleted = await attempt("failed to delete entry", () => deps.datastore.entries.delete(id));
    if (deleted === undefined) throw publicError("NOT_FOUND", "entry not found");
    return done();
  });
  return { status, id };
}

function filterFrom(trustDomain: TrustDomain, filter: ListEntriesRequest_Filter | undefined): EntryFilter {
  if (filter === undefined) return {};
  const { byParentId, bySpiffeId, bySelectors, byFederatesWith } = filter;
  return {
    // An empty hint is no condition, as in SPIRE.
    ...(filter.byHint !== undefined && filter.byHint !== "" && { hint: filter.byHint }),
    ...(byParentId !== undefined && {
      parentId: parseInput("malformed parent ID filter", () => memberIdFromMessage(trustDomain, byParentId)),
    }),
    ...(bySpiffeId !== undefined && {
      spiffeId: parseInput("malformed SPIFFE ID filter", () => workloadIdFromMessage(trustDomain, bySpiffeId)),
    }),
    ...(bySelectors !== undefined && {
      selectors: parseInput("malformed selectors filter", () => selectorMatchFromMessage(bySelectors)),
    }),
    ...(byFederatesWith !== undefined && {
      federatesWith: parseInput("malformed federates with filter", () => federatesWithFromMessage(byFederatesWith)),
    }),
    // Nor is false: SPIRE's commands send it whenever they were not asked for downstream entries only.
    ...(filter.byDownstream === true && { downstream: true }),
  };
}

/** What the audit log says of an item: its identities, not its selectors. */
function auditFields(message: Entry): LogFields {
  const { id, spiffeId, parentId } = message;
  return {
    ...(id !== "" && { entry_id: id }),
    ...(spiffeId !== undefined && { spiffe_id: `spiffe://${spiffeId.trustDomain}${spiffeId.path}` }),
    ...(parentId !== undefined && { parent_id: `spiffe://${parentId.trustDomain}${parentId.path}` }),
    admin: message.admin,
    downstream: message.downstream,
  };
}
