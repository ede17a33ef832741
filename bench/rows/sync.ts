/** Row: the server tells an agent all of its 10,000 entries. */
import {
  EntryService,
  GetAuthorizedEntriesRequest,
  GetAuthorizedEntriesResponse,
  SyncAuthorizedEntriesRequest,
} from "../../src/gen/spire/api/server/entry/v1/entry.ts";
import { EntryMask } from "../../src/gen/spire/api/types/entry.ts";
import { costOf } from "../lib/cost.ts";
import { base64, joinNode, type Node } from "../lib/node-identity.ts";
import { Pair } from "../lib/pair.ts";
import { eventually, prepared } from "../lib/prepared.ts";
import { ratioAtMost, type Scenario } from "../lib/scenario.ts";
import { Worker } from "../lib/worker.ts";
import type { ServerOperations } from "../server-client.ts";

/** The fields that agents ask for. */
const MASK = EntryMask.fromPartial({
  spiffeId: true,
  selectors: true,
  federatesWith: true,
  admin: true,
  downstream: true,
  revisionNumber: true,
  storeSvid: true,
  hint: true,
  additionalAttributes: true,
  createdAt: true,
});
/** An agent's first request. */
export const FIRST = base64(SyncAuthorizedEntriesRequest.encode({ outputMask: MASK, ids: [] }).finish());
const ALL = base64(GetAuthorizedEntriesRequest.encode({ outputMask: MASK }).finish());

/** One sync as by an agent that knows nothing; throws unless there are `expected` entries. */
export async function syncOnce(
  client: Worker<ServerOperations>,
  { address }: Node,
  expected: number,
): Promise<{ readonly micros: number; readonly bytes: number }> {
  const outcome = await client.call("sync", { to: address, first: FIRST });
  if (outcome.entries !== expected) throw new Error(`${outcome.entries} entries came, not ${expected}`);
  return outcome;
}

/** Both calls that fetch entries. */
export const fullSync: Scenario = {
  name: "full-sync",
  title: "full sync of 10,000 entries, from the server's side",
  warm: true,
  measures: [
    { key: "sync", label: "SyncAuthorizedEntries", unit: "ms", target: ratioAtMost(1) },
    { key: "syncCpu", label: "… server's CPU", unit: "ms" },
    { key: "syncBytes", label: "… received", unit: "MB" },
    { key: "get", label: "GetAuthorizedEntries", unit: "ms", target: ratioAtMost(1) },
    { key: "getCpu", label: "… server's CPU", unit: "ms" },
    { key: "getBytes", label: "… received", unit: "MB" },
  ],
  prepare: (subject, context) =>
    prepared(async (stack) => {
      const count = context.quick ? 600 : 10_000;
      const repeats = context.quick ? 1 : 10;
      const pair = stack.use(await Pair.start(subject, context, { serverOnly: true, entries: count }));
      const client = stack.use(new Worker<ServerOperations>("server-client.ts"));
      const node = await joinNode(pair, client, pair.token);
      await eventually(() => syncOnce(client, node, count));
      const order = {
        to: node.address,
        path: EntryService.getAuthorizedEntries.path,
        requests: [ALL],
        count: repeats,
        lanes: 1,
      };
      const pid = pair.pidOf(pair.server);
      return async () => {
        const sync = await costOf(pid, async () => {
          const outcomes = [];
          for (let repeat = 0; repeat < repeats; repeat++) outcomes.push(await syncOnce(client, node, count));
          return outcomes;
        });
        const get = await costOf(pid, () => client.call("calls", order));
        const { entries } = GetAuthorizedEntriesResponse.decode(Buffer.from(get.result.last, "base64"));
        if (entries.length !== count) throw new Error(`${entries.length} entries came, not ${count}`);
        return {
          sync: sync.result.reduce((sum, { micros }) => sum + micros, 0) / repeats / 1e3,
          syncCpu: sync.cpu / repeats / 1e3,
          syncBytes: (sync.result[0]?.bytes ?? 0) / 1e6,
          get: get.result.micros / repeats / 1e3,
          getCpu: get.cpu / repeats / 1e3,
          getBytes: get.result.bytes / repeats / 1e6,
        };
      };
    }),
};
