/** Rows: an agent that starts again: how soon it has an SVID for its caller, and how much memory it needs at rest. */

import { join } from "node:path";
import { Daemon } from "../../scripts/lib/programs.ts";
import { Pair } from "../lib/pair.ts";
import { pause, prepared } from "../lib/prepared.ts";
import { residentBytes } from "../lib/process-cost.ts";
import { atMost, type Measure, ratioAtMost, type Scenario } from "../lib/scenario.ts";
import { monotonicMicros } from "../lib/worker.ts";

/** Until nothing more is fetched or signed. */
const SETTLE_MS = 6_000;
const SIZES = [1, 100, 1_000] as const;
const FASTEST_AT_1000_MS = 300;

/** A restart of the agent with so many entries, while the server is up. */
export const starts: readonly Scenario[] = SIZES.map((size) => ({
  name: `start-${size}`,
  title: `agent with ${size === 1 ? "1 entry" : `${size} entries`}`,
  measures: [
    { key: "first", label: "exec → first SVID, server up", unit: "ms", ...targetOf(size) },
    { key: "memory", label: "agent's memory at rest", unit: "MB", target: ratioAtMost(1.3) },
  ],
  prepare: (subject, context) =>
    prepared(async (stack) => {
      const pair = stack.use(await Pair.start(subject, context, { entries: size }));
      await pause(SETTLE_MS);
      return async () => {
        await pair.agent.stop();
        const first = pair.workload.call("first", { socket: pair.socket, timeoutMs: 60_000 });
        const from = monotonicMicros();
        const agent = new Daemon(
          "agent",
          subject.agent,
          ["run", "-config", pair.site.agentConfig],
          join(pair.site.folder, "agent.log"),
        );
        pair.adopt(agent);
        const at = await first;
        await pause(context.quick ? 500 : SETTLE_MS);
        return { first: (at - from) / 1e3, memory: residentBytes(pair.pidOf(agent)) / 1e6 };
      };
    }),
}));

function targetOf(size: number): Pick<Measure, "target"> {
  return size === 1_000 ? { target: atMost(FASTEST_AT_1000_MS) } : {};
}

/** A server with one agent and nothing to do. */
export const serverMemory: Scenario = {
  name: "server-memory",
  title: "server with one agent and one entry",
  measures: [{ key: "memory", label: "server's memory at rest", unit: "MB", target: ratioAtMost(0.8) }],
  prepare: (subject, context) =>
    prepared(async (stack) => {
      const pair = stack.use(await Pair.start(subject, context));
      return async () => {
        await pause(context.quick ? 500 : SETTLE_MS);
        return { memory: residentBytes(pair.pidOf(pair.server)) / 1e6 };
      };
    }),
};
