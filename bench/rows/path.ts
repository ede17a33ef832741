/** Row: a first SVID for a caller that is told apart by its program's path and hash. */

import { spawn } from "node:child_process";
import { copyFileSync, existsSync, realpathSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { costOf } from "../lib/cost.ts";
import { Pair } from "../lib/pair.ts";
import { prepared } from "../lib/prepared.ts";
import { ratioAtMost, type Scenario } from "../lib/scenario.ts";
import { summarize } from "../lib/statistics.ts";
import { FIRST_FETCH } from "../lib/workload-calls.ts";

const PROGRAM_BYTES = 18 * 2 ** 20;
const PYTHONS = ["/usr/bin/python3", "/usr/local/bin/python3"];

/** With `discover_workload_path`. */
export const connectPath: Scenario = {
  name: "connect-path",
  title: "the same with discover_workload_path, an 18 MB program",
  warm: true,
  measures: [
    { key: "p50", label: "p50", unit: "µs", target: ratioAtMost(0.05) },
    { key: "p99", label: "p99", unit: "µs" },
    { key: "cpu", label: "agent's CPU each", unit: "µs", target: ratioAtMost(0.05) },
  ],
  async prepare(subject, context) {
    const python = PYTHONS.find((path) => existsSync(path));
    if (python === undefined) {
      context.note("left out: the caller is a copy of python3, which this machine lacks");
      return undefined;
    }
    return prepared(async (stack) => {
      const pair = stack.use(await Pair.start(subject, context, { discoverWorkloadPath: true }));
      const program = join(context.folder, "caller");
      copyFileSync(realpathSync(python), program);
      // What follows the end of an ELF file is not loaded, but it is hashed.
      truncateSync(program, PROGRAM_BYTES);
      const count = context.quick ? 10 : 100;
      return async () => {
        const { result, cpu } = await costOf(pair.pidOf(pair.agent), () => callAs(program, pair.socket, count));
        const { p50, p99 } = summarize(result);
        return { p50, p99, cpu: cpu / count };
      };
    });
  },
};

function callAs(program: string, socket: string, count: number): Promise<number[]> {
  return new Promise((resolve, reject) => {
    const script = join(import.meta.dirname, "../path-caller.py");
    const caller = spawn(program, ["-I", "-S", script, socket, String(count)], { stdio: ["pipe", "pipe", "pipe"] });
    let printed = "";
    let said = "";
    caller.stdout.on("data", (chunk) => (printed += chunk));
    caller.stderr.on("data", (chunk) => (said += chunk));
    caller.once("error", reject);
    caller.once("close", (code) =>
      code === 0 ? resolve(JSON.parse(printed) as number[]) : reject(new Error(`the caller failed: ${said.trim()}`)),
    );
    caller.stdin.end(FIRST_FETCH);
  });
}
