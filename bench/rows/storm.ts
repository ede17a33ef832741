/** Row: every caller there may be loses its connection and comes back at the same moment. */
import { costOf } from "../lib/cost.ts";
import { Pair } from "../lib/pair.ts";
import { pause, prepared } from "../lib/prepared.ts";
import { atMost, type Context, ratioAtMost, type Scenario, type Values } from "../lib/scenario.ts";
import { Worker } from "../lib/worker.ts";
import type { WorkloadOperations } from "../workload-client.ts";
import { EVERY_MS } from "./loop.ts";
import { agentForStreams } from "./streams.ts";

/** As many as every agent gets through. */
const FEW = 250;
const LANES = 100;
const SETTLE_MS = 3_000;
const TIMEOUT_MS = 60_000;
/** Agents may let a user wait who has thousands of others waiting: what the event loop is to anybody shows another one. */
const ANOTHER_UID = 65_534;
const IS_ROOT = process.getuid?.() === 0;

/** Nothing holds the callers back, and whom the system refuses tries again within 20 ms. */
export const reconnectStorm: Scenario = {
  name: "reconnect-storm",
  title: "callers reconnect at the same moment: 250, and as many as there may be",
  measures: [
    { key: "fewServed", label: "250: until all have their first message", unit: "ms", target: ratioAtMost(1) },
    { key: "fewCpu", label: "… agent's CPU each", unit: "µs", target: ratioAtMost(1) },
    { key: "fewMax", label: "… another user's slowest health check meanwhile", unit: "ms", target: atMost(100) },
    { key: "served", label: "all: until all have their first message", unit: "ms", target: ratioAtMost(1) },
    { key: "cpu", label: "… agent's CPU each", unit: "µs", target: ratioAtMost(1) },
    { key: "retries", label: "… connections refused and tried again, each", unit: "" },
    { key: "p99", label: "… another user's health check meanwhile, p99", unit: "ms", target: atMost(20) },
    { key: "max", label: "… the slowest", unit: "ms", target: atMost(100) },
  ],
  prepare: (subject, context) =>
    prepared(async (stack) => {
      const pair = stack.use(await Pair.start(subject, context, agentForStreams(subject, context.streams)));
      const prober = stack.use(new Worker<WorkloadOperations>("workload-client.ts"));
      const most = context.quick ? 200 : context.streams;
      if (!IS_ROOT) context.note("health is asked for by the same user, who waits behind the callers: not run as root");
      // An agent that has just started runs code that is not compiled yet.
      if (!context.quick) await storm(pair, prober, FEW);
      let gaveUp = false;
      return async () => {
        const few = await storm(pair, prober, Math.min(FEW, most));
        if (few === undefined) throw new Error(`not all of ${FEW} callers were served`);
        const values = { fewServed: few.served, fewCpu: few.cpu, fewMax: few.max };
        if (gaveUp) return values;
        const all = await storm(pair, prober, most, context);
        gaveUp = all === undefined;
        if (gaveUp && subject.column === "ours") throw new Error("not all callers were served");
        return { ...values, ...all };
      };
    }),
};

interface StormValues extends Values {
  readonly served: number;
  readonly cpu: number;
  readonly max: number;
}

/** `undefined` when the agent does not serve them all; it is started anew then, for it may never answer again. */
async function storm(
  pair: Pair,
  prober: Worker<WorkloadOperations>,
  count: number,
  context?: Context,
): Promise<StormValues | undefined> {
  const { socket, workload } = pair;
  await workload.call("hold", { socket, count, lanes: LANES });
  await pause(SETTLE_MS);
  await prober.call("probe", { socket, everyMs: EVERY_MS, ...(IS_ROOT && { uid: ANOTHER_UID }) });
  const { result, cpu } = await costOf(pair.pidOf(pair.agent), () =>
    workload.call("reconnect", { socket, timeoutMs: TIMEOUT_MS }),
  );
  const felt = await prober.call("probed");
  await workload.call("release");
  await pause(SETTLE_MS);
  if (result.open !== count) {
    context?.note(`${result.open} of ${count} callers were served within ${TIMEOUT_MS / 1e3} s; not tried again`);
    await pair.agent.stop("SIGKILL");
    await pair.startAgent();
    return undefined;
  }
  return {
    served: result.micros / 1e3,
    cpu: cpu / count,
    retries: result.retries / count,
    p99: felt.p99 / 1e3,
    max: felt.max / 1e3,
  };
}
