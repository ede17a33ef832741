/** Row: entries created, one a call and many in a call, in a datastore that begins empty. */
import {
  BatchCreateEntryRequest,
  BatchCreateEntryResponse,
  EntryService,
} from "../../src/gen/spire/api/server/entry/v1/entry.ts";
import { entryOf, type NewEntry } from "../lib/admin.ts";
import { costOf } from "../lib/cost.ts";
import { base64 } from "../lib/node-identity.ts";
import { Pair } from "../lib/pair.ts";
import { prepared } from "../lib/prepared.ts";
import { type Context, noteDurability, ratioAtLeast, type Scenario, type Values } from "../lib/scenario.ts";
import type { Subject } from "../lib/subject.ts";
import { Worker } from "../lib/worker.ts";
import type { ServerOperations } from "../server-client.ts";

const LANES = 8;

/** Entries by single calls and in bulk. */
export const entries: Scenario = {
  name: "entries",
  title: "entries created",
  measures: [
    { key: "single", label: "one a call, 1 caller", unit: "/s", target: ratioAtLeast(3) },
    { key: "singleCpu", label: "… server's CPU each", unit: "µs" },
    { key: "many", label: `one a call, ${LANES} callers`, unit: "/s", target: ratioAtLeast(3) },
    { key: "manyCpu", label: "… server's CPU each", unit: "µs" },
    { key: "bulk", label: "10,000 in one call", unit: "/s", target: ratioAtLeast(3) },
    { key: "bulkCpu", label: "… server's CPU each", unit: "µs" },
  ],
  async prepare(subject, context) {
    noteDurability(subject, context);
    return prepared(async () => () => round(subject, context));
  },
};

/** A new server each time: how long a row takes must not depend on the rounds before. */
async function round(subject: Subject, context: Context): Promise<Values> {
  await using pair = await Pair.start(subject, context, { serverOnly: true });
  await using client = new Worker<ServerOperations>("server-client.ts");
  const create = async (
    made: readonly NewEntry[],
    aCall: number,
    lanes: number,
  ): Promise<{ rate: number; each: number }> => {
    const requests = Array.from({ length: made.length / aCall }, (_, index) =>
      requestFor(made.slice(index * aCall, (index + 1) * aCall)),
    );
    const { result, cpu } = await costOf(pair.pidOf(pair.server), () =>
      client.call("calls", {
        to: { socket: pair.site.serverSocket },
        path: EntryService.batchCreateEntry.path,
        requests,
        count: requests.length,
        lanes,
      }),
    );
    const { results } = BatchCreateEntryResponse.decode(Buffer.from(result.last, "base64"));
    if (results.length !== aCall || results.some(({ status }) => status?.code !== 0))
      throw new Error(`an entry was refused: ${results.find(({ status }) => status?.code !== 0)?.status?.message}`);
    return { rate: (made.length * 1e6) / result.micros, each: cpu / made.length };
  };
  const some = context.quick ? 40 : 1_000;
  const lots = context.quick ? 400 : 10_000;
  const single = await create(pair.ofOthers(some, "single"), 1, 1);
  const many = await create(pair.ofOthers(some, "many"), 1, LANES);
  const bulk = await create(pair.ofOthers(lots, "bulk"), lots, 1);
  return {
    single: single.rate,
    singleCpu: single.each,
    many: many.rate,
    manyCpu: many.each,
    bulk: bulk.rate,
    bulkCpu: bulk.each,
  };
}

function requestFor(entries: readonly NewEntry[]): string {
  return base64(
    BatchCreateEntryRequest.encode(BatchCreateEntryRequest.fromPartial({ entries: entries.map(entryOf) })).finish(),
  );
}
