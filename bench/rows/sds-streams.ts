/** Row: an SVID that was issued anew reaches a thousand Envoys. */
import { Pair } from "../lib/pair.ts";
import { pause, prepared } from "../lib/prepared.ts";
import { ratioAtMost, type Scenario } from "../lib/scenario.ts";
import { nextNames, updateCost } from "../lib/update-cost.ts";
import { agentForStreams } from "./streams.ts";

const STREAMS = 1_000;
const LANES = 20;
const SETTLE_MS = 2_000;

/** Each stream on a connection of its own, for the SVID and the bundle, acknowledging as Envoy does. */
export const sdsStreams: Scenario = {
  name: "sds-streams",
  title: "StreamSecrets to 1,000 Envoys, after a rotation",
  measures: [
    { key: "opened", label: "until all are open", unit: "ms", target: ratioAtMost(1) },
    { key: "span", label: "a new SVID reaches all, first to last", unit: "ms", target: ratioAtMost(1) },
    { key: "cpu", label: "… agent's CPU, acknowledgements included", unit: "ms", target: ratioAtMost(1) },
    { key: "messages", label: "… messages each", unit: "", target: ratioAtMost(1) },
    { key: "kilobytes", label: "… bytes each", unit: "KB" },
  ],
  prepare: (subject, context) =>
    prepared(async (stack) => {
      const count = context.quick ? 50 : Math.min(STREAMS, context.streams);
      const pair = stack.use(await Pair.start(subject, context, agentForStreams(subject, context.streams)));
      const { workload, socket } = pair;
      let rounds = 0;
      return async () => {
        const { micros, open } = await workload.call("hold", { socket, count, lanes: LANES, kind: "StreamSecrets" });
        if (open !== count) throw new Error(`${count - open} of ${count} streams were lost`);
        await pause(SETTLE_MS);
        const update = await updateCost(pair, count, () =>
          pair.admin.renameEntries(pair.entryIds, nextNames(rounds++)),
        );
        await workload.call("release");
        return { opened: micros / 1e3, ...update };
      };
    }),
};
