/** Rows: a first SVID over a new connection, one after the other, from many at once, and over one connection. */
import { costOf } from "../lib/cost.ts";
import { Pair } from "../lib/pair.ts";
import { prepared } from "../lib/prepared.ts";
import { type Context, type Prepared, ratioAtLeast, ratioAtMost, type Scenario, type Values } from "../lib/scenario.ts";
import type { Subject } from "../lib/subject.ts";

function prepare(
  subject: Subject,
  context: Context,
  round: (pair: Pair, pid: number) => Promise<Values>,
): Promise<Prepared> {
  return prepared(async (stack) => {
    const pair = stack.use(await Pair.start(subject, context));
    const pid = pair.pidOf(pair.agent);
    return () => round(pair, pid);
  });
}

/** One connection after the other. */
export const connect: Scenario = {
  name: "connect",
  title: "new connection → first X.509-SVID",
  warm: true,
  measures: [
    { key: "p50", label: "p50", unit: "µs", target: ratioAtMost(0.5) },
    { key: "p99", label: "p99", unit: "µs", target: ratioAtMost(0.8) },
    { key: "cpu", label: "agent's CPU each", unit: "µs", target: ratioAtMost(0.55) },
  ],
  prepare: (subject, context) =>
    prepare(subject, context, async (pair, pid) => {
      const count = context.quick ? 200 : 2_000;
      const { result, cpu } = await costOf(pid, () =>
        pair.workload.call("connects", { socket: pair.socket, count, lanes: 1 }),
      );
      return { p50: result.p50, p99: result.p99, cpu: cpu / count };
    }),
};

/** Sixteen at once. */
export const connectMany: Scenario = {
  name: "connect-16",
  title: "the same from 16 connections at once",
  warm: true,
  measures: [
    { key: "rate", label: "rate", unit: "/s", target: ratioAtLeast(1.1) },
    { key: "cpu", label: "agent's CPU each", unit: "µs", target: ratioAtMost(0.65) },
  ],
  prepare: (subject, context) =>
    prepare(subject, context, async (pair, pid) => {
      const count = context.quick ? 400 : 6_000;
      const { result, cpu } = await costOf(pid, () =>
        pair.workload.call("connects", { socket: pair.socket, count, lanes: 16 }),
      );
      return { rate: (count * 1e6) / result.micros, cpu: cpu / count };
    }),
};

/** Many streams over one connection. */
export const calls: Scenario = {
  name: "calls-32",
  title: "FetchX509SVID first message, one connection, 32 in flight",
  warm: true,
  measures: [
    { key: "rate", label: "rate", unit: "/s", target: ratioAtLeast(3.5) },
    { key: "cpu", label: "agent's CPU each", unit: "µs", target: ratioAtMost(0.2) },
    { key: "connections", label: "connections needed", unit: "" },
  ],
  prepare: (subject, context) =>
    prepare(subject, context, async (pair, pid) => {
      const count = context.quick ? 1_000 : 15_000;
      const { result, cpu } = await costOf(pid, () =>
        pair.workload.call("calls", { socket: pair.socket, count, lanes: 32 }),
      );
      if (result.connections > 1) context.note("clients that cancel many streams are sent away and connect again");
      return { rate: (count * 1e6) / result.micros, cpu: cpu / count, connections: result.connections };
    }),
};
