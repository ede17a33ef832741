/** Rows: how long after an administrator's call the workload's open stream knows. */
import { Pair } from "../lib/pair.ts";
import { pause, prepared } from "../lib/prepared.ts";
import { atMost, type Scenario } from "../lib/scenario.ts";
import { summarize } from "../lib/statistics.ts";
import { monotonicMicros } from "../lib/worker.ts";

/** Between two changes, at random up to twice this: no agent's interval may fall in with ours. */
const BETWEEN_MS = 500;
const TIMEOUT_MS = 30_000;

/** Entries come and go, spread over several of a polling agent's intervals. */
export const propagation: Scenario = {
  name: "propagation",
  title: "entry → the workload's open stream",
  measures: [
    { key: "created", label: "created → SVID in hand, p50", unit: "ms", target: atMost(50) },
    { key: "createdLate", label: "… p99", unit: "ms", target: atMost(250) },
    { key: "deleted", label: "deleted → stream told, p50", unit: "ms", target: atMost(50) },
    { key: "deletedLate", label: "… p99", unit: "ms" },
  ],
  prepare: (subject, context) =>
    prepared(async (stack) => {
      const pair = stack.use(await Pair.start(subject, context));
      await pair.workload.call("watch", { socket: pair.socket });
      const count = context.quick ? 3 : 20;
      let batch = 0;
      return async () => {
        const made = pair.ofCaller(count, `round-${batch++}`);
        const ids = made.map(({ id }) => `spiffe://${id.trustDomain}${id.path}`);
        const entryIds: string[] = [];
        const created = await spread(pair, ids, "seen", async (index) => {
          entryIds.push(...(await pair.admin.createEntries(made.slice(index, index + 1), 1)));
        });
        const deleted = await spread(pair, ids, "gone", (index) =>
          pair.admin.deleteEntries(entryIds.slice(index, index + 1)),
        );
        return { created: created.p50, createdLate: created.p99, deleted: deleted.p50, deletedLate: deleted.p99 };
      };
    }),
};

/** Does something for each identity, and waits until the stream has noticed all of it. Milliseconds from call to stream. */
async function spread(
  pair: Pair,
  ids: readonly string[],
  what: "seen" | "gone",
  change: (index: number) => Promise<void>,
): Promise<{ p50: number; p99: number }> {
  const latencies: Promise<number>[] = [];
  for (const [index, id] of ids.entries()) {
    await pause(Math.random() * 2 * BETWEEN_MS);
    const from = monotonicMicros();
    await change(index);
    latencies.push(pair.workload.call("noticed", { id, what, timeoutMs: TIMEOUT_MS }).then((at) => (at - from) / 1e3));
  }
  return summarize(await Promise.all(latencies));
}
