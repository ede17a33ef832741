/** Rows: how long another caller waits while one attacks the agent, as a multiple of what it waits when all is quiet. */
import { execFileSync } from "node:child_process";
import { availableParallelism } from "node:os";
import type { AttackerOperations } from "../attacker-client.ts";
import { ATTACKS, type AttackKind } from "../lib/attacks.ts";
import { Pair } from "../lib/pair.ts";
import { pause, prepared } from "../lib/prepared.ts";
import { atMost, type Context, type Scenario, type Values } from "../lib/scenario.ts";
import { Worker } from "../lib/worker.ts";

/** The attacker's user, where the bench may choose: the agent shares itself out among users. */
const ATTACKER = 65_534;
/** Until an attack has reached what it can reach. */
const UNDER_WAY_MS = 1_500;
/** Until what is left of it is gone. */
const RECOVERY_MS = 1_500;
const MOST = 3;
const CONNECTS = 500;
/** Clients that cancel more streams on a connection may be sent away. */
const CALLS = 800;
/** The longest that either is measured. */
const MOST_MS = 2_000;

/** A row for each kind, over a pair of its own. */
export const badCallers: readonly Scenario[] = (Object.keys(ATTACKS) as AttackKind[]).map((kind) => ({
  name: `bad-callers-${kind}`,
  title: `another caller while one attacks: ${ATTACKS[kind].what}`,
  rounds: 5,
  measures: [
    { key: "connectQuiet", label: "new connection → first X.509-SVID, quiet, p99", unit: "µs" },
    { key: "connect", label: "… attacked, p99", unit: "µs" },
    { key: "connectRatio", label: "… multiple", unit: "", target: atMost(MOST) },
    { key: "callQuiet", label: "the same over an open connection, quiet, p99", unit: "µs" },
    { key: "call", label: "… attacked, p99", unit: "µs" },
    { key: "callRatio", label: "… multiple", unit: "", target: atMost(MOST) },
    { key: "rate", label: "calls of the attacker", unit: "/s" },
  ],
  prepare: (subject, context) =>
    prepared(async (stack) => {
      const pair = stack.use(await Pair.start(subject, context, { identities: 1 }));
      const root = process.getuid?.() === 0;
      if (root) {
        const [entry] = pair.ofCaller(1, "attacker");
        if (entry !== undefined) await pair.admin.createEntries([{ ...entry, selector: `unix:uid:${ATTACKER}` }], 1);
      } else context.note("the attacker is the same user as the other caller: run as root to have two");
      return () => round(pair, context, kind, root);
    }),
}));

async function round(pair: Pair, context: Context, kind: AttackKind, root: boolean): Promise<Values> {
  await using attacker = new Worker<AttackerOperations>("attacker-client.ts");
  if (root) await attacker.call("become", { uid: ATTACKER });
  await attacker.call("yield");
  place(pair.pidOf(pair.agent), await attacker.call("pid"), await pair.workload.call("pid"), context);
  const quiet = await waits(pair, context);
  await attacker.call("attack", { socket: pair.socket, kind });
  await pause(UNDER_WAY_MS);
  const [before, from] = [await attacker.call("counts"), performance.now()];
  const attacked = await waits(pair, context);
  const after = await attacker.call("counts");
  const rate = ((after.calls - before.calls) * 1e3) / (performance.now() - from);
  await attacker[Symbol.asyncDispose]();
  await pause(RECOVERY_MS);
  return {
    connectQuiet: quiet.connect,
    connect: attacked.connect,
    connectRatio: attacked.connect / quiet.connect,
    callQuiet: quiet.call,
    call: attacked.call,
    callRatio: attacked.call / quiet.call,
    rate,
  };
}

/** The 99th percentile of both ways, in µs. */
async function waits(pair: Pair, { quick }: Context): Promise<{ readonly connect: number; readonly call: number }> {
  const { workload, socket } = pair;
  const mostMs = MOST_MS;
  const connects = await workload.call("connects", { socket, count: quick ? 100 : CONNECTS, lanes: 1, mostMs });
  const calls = await workload.call("waits", { socket, count: quick ? 100 : CALLS, mostMs });
  return { connect: connects.p99, call: calls.p99 };
}

/** The agent on one core; the attacker on the other, and with it the other caller, for whom it makes room. */
function place(agent: number, attacker: number, caller: number, context: Context): void {
  if (availableParallelism() < 2) {
    context.note("one core: the attacker takes the agent's time");
    return;
  }
  try {
    for (const [pid, core] of [
      [agent, 0],
      [attacker, 1],
      [caller, 1],
    ] as const) {
      execFileSync("taskset", ["-acp", String(core), String(pid)], { stdio: "ignore" });
    }
    // What it waits for should be the agent, and not its own core.
    if (process.getuid?.() === 0) execFileSync("renice", ["-n", "-20", "-p", String(caller)], { stdio: "ignore" });
  } catch {
    context.note("taskset is not there: processes run on whichever core");
  }
}
