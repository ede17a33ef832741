/** Row: how long a trivial call waits while the agent attests its node by a TPM. */
import { join } from "node:path";
import { startAgent } from "../../scripts/lib/programs.ts";
import { pause, prepared } from "../lib/prepared.ts";
import type { Scenario } from "../lib/scenario.ts";
import { median } from "../lib/statistics.ts";
import { hasSwtpm, startSwtpm, startTpmPair } from "../lib/tpm-pair.ts";
import { around, TpmTap } from "../lib/tpm-tap.ts";
import { Worker } from "../lib/worker.ts";
import type { WorkloadOperations } from "../workload-client.ts";
import { EVERY_MS, MEASURES, millis } from "./loop.ts";

/** An agent attests again at half of this, so that several ceremonies fall into a round. */
const AGENT_TTL_S = 4;
/** What the agent logs after each. */
const RENEWED = /The agent SVID was renewed.*\battest\b/g;

/** The agent, attesting again and again; questions that no ceremony has to do with are left out. */
export const loopTpm: Scenario = {
  name: "loop-tpm",
  title: "agent's delay while it attests by a TPM (swtpm)",
  measures: [
    ...MEASURES,
    { key: "wall", label: "a ceremony, from the TPM's first answer to its last, median", unit: "ms" },
    { key: "ceremonies", label: "ceremonies in a round", unit: "" },
  ],
  async prepare(subject, context) {
    if (!hasSwtpm(subject, context)) return undefined;
    return prepared(async (stack) => {
      const tpm = stack.use(await startSwtpm(context, ["rsa"]));
      const tap = stack.use(await TpmTap.open(join(context.folder, "tap.sock"), tpm.socketPath));
      const server = `  agent_ttl = "${AGENT_TTL_S}s"`;
      const pair = stack.use(
        await startTpmPair(subject, context, { attestor: "", server, roots: tpm.roots, tcti: tap.tcti }),
      );
      const agent = await startAgent(pair.site, [], subject.agent);
      pair.adopt(agent);
      const prober = stack.use(new Worker<WorkloadOperations>("workload-client.ts"));
      const renewals = (): number => agent.log().match(RENEWED)?.length ?? 0;
      return async () => {
        const before = renewals();
        tap.reset();
        await prober.call("probe", { socket: pair.socket, everyMs: EVERY_MS });
        await pause(context.quick ? 6_000 : 30_000);
        const seen = tap.ceremonies();
        const felt = await prober.call("probed", { during: seen.map(around) });
        const ceremonies = renewals() - before;
        if (ceremonies === 0) throw new Error("the agent did not attest again; its log says why");
        return { ...millis(felt), wall: median(seen.map(({ from, to }) => to - from)) / 1e3, ceremonies };
      };
    });
  },
};
