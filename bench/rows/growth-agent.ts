/** Growth: what an agent's work costs as a caller's identities become many, and as open streams do. */
import { costOf } from "../lib/cost.ts";
import { keyAt, ladder } from "../lib/ladder.ts";
import { Pair } from "../lib/pair.ts";
import { pause, prepared } from "../lib/prepared.ts";
import { residentBytes } from "../lib/process-cost.ts";
import type { Scenario } from "../lib/scenario.ts";
import { agentForStreams, fanOut } from "./streams.ts";

const IDENTITIES = [1, 10, 100, 500];
const STREAMS = [10, 100, 1_000, 10_000];
const LANES = 100;
const TIMEOUT_MS = 60_000;
const SETTLE_MS = 1_000;

/** Identities that one caller gets all at once. */
export const growthIdentities: Scenario = {
  name: "growth-identities",
  title: "cost by the number of identities of one caller",
  rounds: 1,
  ...ladder(IDENTITIES, "identities", [
    { key: "p50", label: "new connection → first message, p50", unit: "µs", floor: 50 },
    { key: "cpu", label: "agent's CPU for it", unit: "µs", floor: 50 },
  ]),
  prepare: (subject, context) =>
    prepared(async (stack) => {
      const pair = stack.use(await Pair.start(subject, context));
      await pair.workload.call("watch", { socket: pair.socket });
      return async () => {
        const values: Record<string, number> = {};
        let present = 1;
        for (const size of context.quick ? IDENTITIES.slice(0, 2) : IDENTITIES) {
          const more = pair.ofCaller(size - present, `upto-${size}`);
          await pair.admin.createEntries(more, 100);
          for (const { id } of more)
            await pair.workload.call("noticed", {
              id: `spiffe://${id.trustDomain}${id.path}`,
              what: "seen",
              timeoutMs: TIMEOUT_MS,
            });
          present = size;
          await pause(SETTLE_MS);
          const count = context.quick ? 50 : size < 100 ? 2_000 : 500;
          const { result, cpu } = await costOf(pair.pidOf(pair.agent), () =>
            pair.workload.call("connects", { socket: pair.socket, count, lanes: 1 }),
          );
          values[keyAt("p50", size)] = result.p50;
          values[keyAt("cpu", size)] = cpu / count;
        }
        return values;
      };
    }),
};

/** Streams, each on a connection of its own; the last step has as many as there may be. */
export const growthStreams: Scenario = {
  name: "growth-streams",
  title: "cost by the number of open streams",
  rounds: 1,
  ...ladder(STREAMS, "streams", [
    { key: "span", label: "a change reaches all, first to last", unit: "ms", floor: 1 },
    { key: "cpu", label: "agent's CPU for it and its undoing", unit: "ms", floor: 20 },
    { key: "memory", label: "agent's memory above that for none", unit: "MB", floor: 20 },
  ]),
  prepare: (subject, context) =>
    prepared(async (stack) => {
      const pair = stack.use(await Pair.start(subject, context, agentForStreams(subject, context.streams)));
      const pid = pair.pidOf(pair.agent);
      await pair.workload.call("connects", { socket: pair.socket, count: 200, lanes: 4 });
      return async () => {
        const values: Record<string, number> = {};
        await pause(SETTLE_MS);
        const before = residentBytes(pid);
        let open = 0;
        for (const size of context.quick ? STREAMS.slice(0, 2) : STREAMS) {
          const wanted = Math.min(size, context.streams);
          await pair.workload.call("hold", { socket: pair.socket, count: wanted - open, lanes: LANES });
          open = wanted;
          await pause(SETTLE_MS);
          values[keyAt("memory", size)] = (residentBytes(pid) - before) / 1e6;
          const { result, cpu } = await costOf(pid, () => fanOut(pair));
          values[keyAt("span", size)] = result.span;
          values[keyAt("cpu", size)] = cpu / 1e3;
        }
        await pair.workload.call("release");
        return values;
      };
    }),
};
