/** Rows: as many open streams as there may be: their memory, and how long a change takes to reach them all. */
import { Pair } from "../lib/pair.ts";
import { pause, prepared } from "../lib/prepared.ts";
import { residentBytes } from "../lib/process-cost.ts";
import { atMost, type Context, ratioAtMost, type Scenario, type Values } from "../lib/scenario.ts";
import type { Subject } from "../lib/subject.ts";

/** Connections that are being opened at any one time. */
const LANES = 100;
const SETTLE_MS = 2_000;
const CHANGE_TIMEOUT_MS = 60_000;

/** One user may hold them all: by default our agent grants a single one only half. */
export function agentForStreams(subject: Subject, streams: number): { agent?: string } {
  return subject.name === "holdfast"
    ? { agent: `  experimental { max_connections = ${streams + 100} max_connections_per_uid = ${streams + 100} }` }
    : {};
}

/** Holds streams, makes a change, and counts what it brings; the change is undone. Times in ms. */
export async function fanOut(pair: Pair): Promise<{ readonly span: number; readonly messages: number }> {
  const { workload } = pair;
  await workload.call("arm");
  const open = (await workload.call("hold", { socket: pair.socket, count: 0, lanes: 0 })).open;
  const made = await pair.admin.createEntries(pair.ofCaller(1, "second"), 1);
  const change = await workload.call("change", { timeoutMs: CHANGE_TIMEOUT_MS });
  await pair.admin.deleteEntries(made);
  if (change.reached !== open) throw new Error(`a change reached ${change.reached} of ${open} streams`);
  await workload.call("arm");
  await workload.call("change", { timeoutMs: CHANGE_TIMEOUT_MS });
  return { span: (change.last - change.first) / 1e3, messages: change.messages / open };
}

/** A new agent each time: memory that it was given once, it keeps. */
export const streams: Scenario = {
  name: "streams",
  title: "open streams, each on a connection of its own",
  measures: [
    { key: "memory", label: "agent's memory per stream", unit: "KB", target: ratioAtMost(0.8) },
    { key: "open", label: "until all are open", unit: "ms" },
    { key: "span", label: "a change reaches all, first to last", unit: "ms", target: atMost(300) },
    { key: "messages", label: "… messages each", unit: "", target: atMost(1) },
  ],
  prepare: (subject, context) =>
    prepared(async (stack) => {
      const pair = stack.use(await Pair.start(subject, context, agentForStreams(subject, context.streams)));
      return () => round(pair, context);
    }),
};

async function round(pair: Pair, context: Context): Promise<Values> {
  const count = context.quick ? 200 : context.streams;
  await pair.agent.stop();
  await pair.startAgent();
  const pid = pair.pidOf(pair.agent);
  await pair.workload.call("connects", { socket: pair.socket, count: 200, lanes: 4 });
  await pause(SETTLE_MS);
  const before = residentBytes(pid);
  const { micros, open } = await pair.workload.call("hold", { socket: pair.socket, count, lanes: LANES });
  if (open !== count) throw new Error(`${count - open} of ${count} streams were lost`);
  await pause(SETTLE_MS);
  const memory = (residentBytes(pid) - before) / count / 1e3;
  const change = await fanOut(pair);
  await pair.workload.call("release");
  return { memory, open: micros / 1e3, ...change };
}
