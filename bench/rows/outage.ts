/** Row: how long after the server's return its agent is in sync again. */
import { type Daemon, startServer } from "../../scripts/lib/programs.ts";
import { Pair } from "../lib/pair.ts";
import { eventually, pause, prepared } from "../lib/prepared.ts";
import { atMost, type Scenario } from "../lib/scenario.ts";
import { monotonicMicros } from "../lib/worker.ts";

/** The back-off of an agent that had three minutes of outage may last minutes. */
const TIMEOUT_MS = 300_000;

/** One outage a round; `--outage` says how long. */
export const outage: Scenario = {
  name: "outage",
  title: "server returns after an outage → agent in sync (a new entry's SVID is in the workload's hand)",
  measures: [{ key: "seconds", label: "since the server answers", unit: "s", target: atMost(5) }],
  prepare: (subject, context) =>
    prepared(async (stack) => {
      const { outageSeconds } = context;
      context.note(`the server was away for ${outageSeconds} s (--outage); the target is for 180 s`);
      const pair = stack.use(await Pair.start(subject, context));
      await pair.workload.call("watch", { socket: pair.socket });
      let turn = 0;
      return async () => {
        await pair.server.stop();
        await pause(context.quick ? 2_000 : outageSeconds * 1_000);
        const [entry] = pair.ofCaller(1, `after-${turn++}`);
        if (entry === undefined) throw new Error("no entry");
        const returning: Promise<Daemon> = startServer(pair.site, subject.server);
        let from = 0;
        const returned = eventually(
          async () => {
            await pair.admin.createEntries([entry], 1);
            from = monotonicMicros();
          },
          60_000,
          20,
        );
        pair.server = await returning;
        await returned;
        const id = `spiffe://${entry.id.trustDomain}${entry.id.path}`;
        const at = await pair.workload.call("noticed", { id, what: "seen", timeoutMs: TIMEOUT_MS });
        return { seconds: (at - from) / 1e6 };
      };
    }),
};
