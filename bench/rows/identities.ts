/** Row: a caller with 500 identities: its first message, and one of them issued anew. */
import { costOf } from "../lib/cost.ts";
import { Pair } from "../lib/pair.ts";
import { pause, prepared } from "../lib/prepared.ts";
import { ratioAtMost, type Scenario } from "../lib/scenario.ts";
import { nextNames, updateCost } from "../lib/update-cost.ts";

const IDENTITIES = 500;
/** Streams of the caller that share an update. */
const STREAMS = 100;
const LANES = 10;
const SETTLE_MS = 2_000;
const TIMEOUT_MS = 60_000;

/** Every message holds all 500. */
export const identities: Scenario = {
  name: "identities-500",
  title: "a caller with 500 identities",
  warm: true,
  measures: [
    { key: "p50", label: "new connection → first message, p50", unit: "ms", target: ratioAtMost(1) },
    { key: "cpu", label: "… agent's CPU each", unit: "ms", target: ratioAtMost(1) },
    { key: "kilobytes", label: "… bytes", unit: "KB" },
    { key: "oneCpu", label: "one issued anew, one stream: agent's CPU", unit: "ms", target: ratioAtMost(1) },
    { key: "oneMessages", label: "… messages", unit: "", target: ratioAtMost(1) },
    { key: "manyCpu", label: "one issued anew, 100 streams: agent's CPU", unit: "ms", target: ratioAtMost(1) },
    { key: "manySpan", label: "… first to last", unit: "ms", target: ratioAtMost(1) },
    { key: "manyMessages", label: "… messages each", unit: "", target: ratioAtMost(1) },
  ],
  prepare: (subject, context) =>
    prepared(async (stack) => {
      const count = context.quick ? 20 : IDENTITIES;
      const pair = stack.use(await Pair.start(subject, context, { identities: count }));
      const { workload, socket } = pair;
      await workload.call("watch", { socket });
      for (const { id } of pair.ofCaller(count)) {
        const name = `spiffe://${id.trustDomain}${id.path}`;
        await workload.call("noticed", { id: name, what: "seen", timeoutMs: TIMEOUT_MS });
      }
      await workload.call("unwatch");
      let rounds = 0;
      const changed = async (streams: number) => {
        await workload.call("hold", { socket, count: streams, lanes: LANES });
        await pause(SETTLE_MS);
        const cost = await updateCost(pair, streams, () =>
          pair.admin.renameEntries(pair.entryIds.slice(0, 1), nextNames(rounds++)),
        );
        await workload.call("release");
        return cost;
      };
      return async () => {
        const connects = context.quick ? 20 : 200;
        const { result, cpu } = await costOf(pair.pidOf(pair.agent), () =>
          workload.call("connects", { socket, count: connects, lanes: 1 }),
        );
        const one = await changed(1);
        const many = await changed(context.quick ? 10 : STREAMS);
        return {
          p50: result.p50 / 1e3,
          cpu: cpu / connects / 1e3,
          kilobytes: result.bytes / 1e3,
          oneCpu: one.cpu,
          oneMessages: one.messages,
          manyCpu: many.cpu,
          manySpan: many.span,
          manyMessages: many.messages,
        };
      };
    }),
};
