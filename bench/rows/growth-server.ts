/** Growth: what a server's work costs as its entries become many, and as one agent's do. */
import {
  BatchCreateEntryRequest,
  EntryService,
  ListEntriesRequest,
  ListEntriesResponse,
} from "../../src/gen/spire/api/server/entry/v1/entry.ts";
import { SelectorMatch_MatchBehavior } from "../../src/gen/spire/api/types/selector.ts";
import { entryOf, idOf, type NewEntry } from "../lib/admin.ts";
import { costOf } from "../lib/cost.ts";
import { keyAt, ladder } from "../lib/ladder.ts";
import { base64, joinNode } from "../lib/node-identity.ts";
import { Pair } from "../lib/pair.ts";
import { eventually, prepared } from "../lib/prepared.ts";
import { residentBytes } from "../lib/process-cost.ts";
import { untilQuiet } from "../lib/quiet.ts";
import type { Context, Scenario } from "../lib/scenario.ts";
import type { Subject } from "../lib/subject.ts";
import { Worker } from "../lib/worker.ts";
import type { ServerOperations } from "../server-client.ts";
import { syncOnce } from "./sync.ts";

const SERVER_SIZES = [100, 1_000, 10_000, 100_000];
const AGENT_SIZES = [1, 10, 100, 1_000, 10_000];
/** Filling a SPIRE server takes minutes from here on. */
const MOST_AT_PEER = 10_000;
const REPEATS = 100;
/** Entries of the agent that is watched among all the others. */
const OWN = 10;

/** Sizes to climb; `--quick` goes two steps. */
function climb(sizes: readonly number[], subject: Subject, context: Context): readonly number[] {
  if (context.quick) return sizes.slice(0, 2);
  if (subject.name === "spire") context.note(`measured up to ${MOST_AT_PEER.toLocaleString("en-US")} entries`);
  return sizes.filter((size) => subject.name !== "spire" || size <= MOST_AT_PEER);
}

/** Entries that belong to other agents. */
export const growthServer: Scenario = {
  name: "growth-server-entries",
  title: "cost by the number of entries on the server",
  rounds: 1,
  ...ladder(SERVER_SIZES, "entries", [
    { key: "create", label: "one more entry", unit: "ms", floor: 0.2 },
    { key: "list", label: `${OWN} entries listed by parent and selector`, unit: "ms", floor: 0.2 },
    { key: "sync", label: `sync of an agent with ${OWN} entries`, unit: "ms", floor: 0.5 },
  ]),
  prepare: (subject, context) =>
    prepared(async (stack) => {
      const pair = stack.use(await Pair.start(subject, context, { serverOnly: true }));
      const client = stack.use(new Worker<ServerOperations>("server-client.ts"));
      const node = await joinNode(pair, client, pair.token);
      const own = pair.ofOthers(OWN, "own").map((entry) => ({ ...entry, selector: "unix:user:own" }));
      await pair.admin.createEntries(own, OWN);
      await eventually(() => syncOnce(client, node, OWN));
      const admin = (path: string, requests: readonly string[]): ReturnType<ServerOperations["calls"]> =>
        client.call("calls", { to: { socket: pair.site.serverSocket }, path, requests, count: REPEATS, lanes: 1 });
      return async () => {
        const values: Record<string, number> = {};
        let present = OWN;
        for (const size of climb(SERVER_SIZES, subject, context)) {
          const others = elsewhere(pair, size - present, `upto-${size}`);
          await pair.admin.createEntries(others, subject.name === "spire" ? 100 : 1_000);
          const more = elsewhere(pair, REPEATS, `more-${size}`).map(createRequest);
          present = size + REPEATS;
          values[keyAt("create", size)] =
            (await admin(EntryService.batchCreateEntry.path, more)).micros / REPEATS / 1e3;
          const listed = await admin(EntryService.listEntries.path, [listRequest(pair)]);
          const { entries } = ListEntriesResponse.decode(Buffer.from(listed.last, "base64"));
          if (entries.length !== OWN) throw new Error(`${entries.length} entries were listed, not ${OWN}`);
          values[keyAt("list", size)] = listed.micros / REPEATS / 1e3;
          let micros = 0;
          for (let repeat = 0; repeat < REPEATS; repeat++) micros += (await syncOnce(client, node, OWN)).micros;
          values[keyAt("sync", size)] = micros / REPEATS / 1e3;
        }
        return values;
      };
    }),
};

/** Entries that all belong to one agent, which runs, and to a node that fetches them. */
export const growthAgent: Scenario = {
  name: "growth-agent-entries",
  title: "cost by the number of entries of one agent",
  rounds: 1,
  ...ladder(AGENT_SIZES, "entries", [
    { key: "sync", label: "full sync, server's side", unit: "ms", floor: 0.5 },
    { key: "connect", label: "agent's CPU for a first SVID on a new connection", unit: "µs", floor: 50 },
    { key: "memory", label: "agent's memory", unit: "MB", floor: 1 },
  ]),
  prepare: (subject, context) =>
    prepared(async (stack) => {
      const pair = stack.use(await Pair.start(subject, context));
      const client = stack.use(new Worker<ServerOperations>("server-client.ts"));
      const [token = ""] = await pair.admin.createTokens(1);
      const node = await joinNode(pair, client, token);
      // Both the agent and the node belong to a group, which all entries are of.
      const group = idOf("/group");
      const member = pair.ofOthers(1, "group")[0] as NewEntry;
      await pair.admin.createEntries(
        [
          { ...member, id: group },
          { ...member, id: group, parent: node.id },
        ],
        2,
      );
      const pid = pair.pidOf(pair.agent);
      return async () => {
        const values: Record<string, number> = {};
        let present = 0;
        for (const size of climb(AGENT_SIZES, subject, context)) {
          await pair.admin.createEntries(pair.ofOthers(size - present, `upto-${size}`, group), 100);
          present = size;
          // The node's own group entry comes along.
          await eventually(() => syncOnce(client, node, size + 1));
          const { micros } = await syncOnce(client, node, size + 1);
          values[keyAt("sync", size)] = micros / 1e3;
          await untilQuiet(pid);
          const count = context.quick ? 100 : 2_000;
          const order = { socket: pair.socket, count, lanes: 1 };
          const { cpu } = await costOf(pid, () => pair.workload.call("connects", order));
          values[keyAt("connect", size)] = cpu / count;
          values[keyAt("memory", size)] = residentBytes(pid) / 1e6;
        }
        return values;
      };
    }),
};

/** Entries of an agent that does not exist. */
function elsewhere(pair: Pair, count: number, name: string): NewEntry[] {
  return pair.ofOthers(count, name, idOf("/spire/agent/join_token/nobody"));
}

function createRequest(entry: NewEntry): string {
  const request = BatchCreateEntryRequest.fromPartial({ entries: [entryOf(entry)] });
  return base64(BatchCreateEntryRequest.encode(request).finish());
}

function listRequest(pair: Pair): string {
  const request = ListEntriesRequest.fromPartial({
    filter: {
      byParentId: pair.agentId,
      bySelectors: {
        selectors: [{ type: "unix", value: "user:own" }],
        match: SelectorMatch_MatchBehavior.MATCH_EXACT,
      },
    },
  });
  return base64(ListEntriesRequest.encode(request).finish());
}
