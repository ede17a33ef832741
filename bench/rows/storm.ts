/** Row: every caller there may be loses its connection and comes back at the same moment. */
import { costOf } from "../lib/cost.ts";
import { Pair } from "../lib/pair.ts";
import { pause, prepared } from "../lib/prepared.ts";
import { atMost, ratioAtMost, type Scenario } from "../lib/scenario.ts";
import { Worker } from "../lib/worker.ts";
import type { WorkloadOperations } from "../workload-client.ts";
import { EVERY_MS } from "./loop.ts";
import { agentForStreams } from "./streams.ts";

const LANES = 100;
const SETTLE_MS = 3_000;
const TIMEOUT_MS = 120_000;

/** Nothing holds the callers back, and whom the system refuses tries again within 20 ms. */
export const reconnectStorm: Scenario = {
  name: "reconnect-storm",
  title: "as many callers as there may be reconnect at the same moment",
  measures: [
    { key: "served", label: "until all have their first message", unit: "ms", target: ratioAtMost(1) },
    { key: "cpu", label: "… agent's CPU each", unit: "µs", target: ratioAtMost(1) },
    { key: "retries", label: "… connections refused and tried again, each", unit: "" },
    { key: "p99", label: "another's health check meanwhile, p99", unit: "ms", target: atMost(20) },
    { key: "max", label: "… the slowest", unit: "ms", target: atMost(100) },
  ],
  prepare: (subject, context) =>
    prepared(async (stack) => {
      const pair = stack.use(await Pair.start(subject, context, agentForStreams(subject, context.streams)));
      const prober = stack.use(new Worker<WorkloadOperations>("workload-client.ts"));
      const count = context.quick ? 200 : context.streams;
      const { socket } = pair;
      context.note(`${count} callers`);
      return async () => {
        await pair.workload.call("hold", { socket, count, lanes: LANES });
        await pause(SETTLE_MS);
        await prober.call("probe", { socket, everyMs: EVERY_MS });
        const { result, cpu } = await costOf(pair.pidOf(pair.agent), () =>
          pair.workload.call("reconnect", { socket, timeoutMs: TIMEOUT_MS }),
        );
        const felt = await prober.call("probed");
        if (result.open !== count) throw new Error(`${count - result.open} of ${count} callers were lost`);
        await pair.workload.call("release");
        await pause(SETTLE_MS);
        return {
          served: result.micros / 1e3,
          cpu: cpu / count,
          retries: result.retries / count,
          p99: felt.p99 / 1e3,
          max: felt.max / 1e3,
        };
      };
    }),
};
