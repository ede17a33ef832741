/** Rows: how long a trivial call waits while a program is busy: its event loop's delay, as a client feels it. */
import { idOf } from "../lib/admin.ts";
import { joinNode } from "../lib/node-identity.ts";
import { Pair } from "../lib/pair.ts";
import { eventually, pause, prepared } from "../lib/prepared.ts";
import { untilQuiet } from "../lib/quiet.ts";
import { atMost, type Measure, type Scenario, type Values } from "../lib/scenario.ts";
import type { Summary } from "../lib/statistics.ts";
import { Worker } from "../lib/worker.ts";
import type { ServerOperations } from "../server-client.ts";
import type { WorkloadOperations } from "../workload-client.ts";
import { agentForStreams } from "./streams.ts";
import { syncOnce } from "./sync.ts";

/** Between an answer and the next question. */
export const EVERY_MS = 5;
const ENTRIES = 10_000;
const LANES = 100;
/** What is asked of every program that is busy. */
export const MEASURES: readonly Measure[] = [
  { key: "p99", label: "a health check over an open connection, p99", unit: "ms", target: atMost(20) },
  { key: "max", label: "… the slowest", unit: "ms", target: atMost(100) },
];

/** The agent, while thousands connect. */
export const loopConnects: Scenario = {
  name: "loop-connects",
  title: "agent's delay while as many streams are opened as there may be",
  measures: MEASURES,
  prepare: (subject, context) =>
    prepared(async (stack) => {
      const pair = stack.use(await Pair.start(subject, context, agentForStreams(subject, context.streams)));
      const prober = stack.use(new Worker<WorkloadOperations>("workload-client.ts"));
      const count = context.quick ? 200 : context.streams;
      return async () => {
        await prober.call("probe", { socket: pair.socket, everyMs: EVERY_MS });
        await pair.workload.call("hold", { socket: pair.socket, count, lanes: LANES });
        const felt = await prober.call("probed");
        await pair.workload.call("release");
        await pause(1_000);
        return millis(felt);
      };
    }),
};

/** The agent, while it learns of 10,000 entries and fetches their SVIDs. */
export const loopAgentSync: Scenario = {
  name: "loop-agent-sync",
  title: "agent's delay while 10,000 entries come at once",
  measures: MEASURES,
  rounds: 1,
  prepare: (subject, context) =>
    prepared(async (stack) => {
      const count = context.quick ? 600 : ENTRIES;
      const pair = stack.use(await Pair.start(subject, context));
      const prober = stack.use(new Worker<WorkloadOperations>("workload-client.ts"));
      // The entries belong to a group that the agent joins by one more entry, so that they all come at once.
      const group = idOf("/group");
      await pair.admin.createEntries(pair.ofOthers(count, "grouped", group), 100);
      await pause(SERVER_CACHE_MS);
      await pair.workload.call("watch", { socket: pair.socket });
      return async () => {
        await prober.call("probe", { socket: pair.socket, everyMs: EVERY_MS });
        const [joined] = pair.ofCaller(1, "unused");
        if (joined === undefined) throw new Error("no entry");
        await pair.admin.createEntries([{ ...joined, id: group }], 1);
        // The group's own entry is an identity of the caller: it tells that they have come. Then it fetches their SVIDs.
        await pair.workload.call("noticed", {
          id: "spiffe://example.org/group",
          what: "seen",
          timeoutMs: 60_000,
        });
        await untilQuiet(pair.pidOf(pair.agent));
        return millis(await prober.call("probed"));
      };
    }),
};

/** The server, while an agent fetches 10,000 entries again and again. */
export const loopServerSync: Scenario = {
  name: "loop-server-sync",
  title: "server's delay while an agent fetches 10,000 entries",
  measures: MEASURES,
  prepare: (subject, context) =>
    prepared(async (stack) => {
      const count = context.quick ? 600 : ENTRIES;
      const pair = stack.use(await Pair.start(subject, context, { serverOnly: true, entries: count }));
      const prober = stack.use(new Worker<WorkloadOperations>("workload-client.ts"));
      const client = stack.use(new Worker<ServerOperations>("server-client.ts"));
      const node = await joinNode(pair, client, pair.token);
      await eventually(() => syncOnce(client, node, count));
      return async () => {
        await prober.call("probe", { socket: pair.site.serverSocket, everyMs: EVERY_MS });
        for (let turn = 0; turn < 20; turn++) await syncOnce(client, node, count);
        return millis(await prober.call("probed"));
      };
    }),
};

/** A server may look for new entries only every five seconds. */
const SERVER_CACHE_MS = 6_000;

/** The measures' values. */
export function millis({ p99, max }: Summary): Values {
  return { p99: p99 / 1e3, max: max / 1e3 };
}
