/** A thread that fuzzes one target: it may hang or run out of memory, and whoever started it still knows the input. */
import { parentPort, workerData } from "node:worker_threads";
import { Coverage } from "./coverage.ts";
import { fuzz } from "./engine.ts";
import { instrument } from "./instrument.ts";
import { HEADER_BYTES, type Job, type Message } from "./job.ts";
import type { FuzzTarget } from "./target.ts";

if (parentPort !== null) await work(workerData as Job, (message) => parentPort?.postMessage(message));

async function work(job: Job, say: (message: Message) => void): Promise<void> {
  // The place of an error that is thrown a million times a minute is not worth its price.
  Error.stackTraceLimit = 0;
  const coverage = new Coverage();
  const words = instrument(job.instrumented, coverage);
  const { TARGETS } = (await import(job.module)) as { readonly TARGETS: readonly FuzzTarget[] };
  const target = TARGETS.find(({ name }) => name === job.target);
  if (target === undefined) throw new Error(`no target ${job.target} in ${job.module}`);
  const header = new Int32Array(job.shared, 0, 2);
  const bytes = new Uint8Array(job.shared, HEADER_BYTES);
  const result = await fuzz(target, {
    seed: job.seed,
    runs: job.runs,
    seconds: job.seconds,
    cpuSeconds: job.cpuSeconds,
    keepGoing: job.keepGoing,
    extraSeeds: job.extraSeeds,
    words,
    ...(job.instrumented.length === 0 ? {} : { coverage }),
    before: (input) => {
      bytes.set(input);
      header[1] = input.length;
      Atomics.add(header, 0, 1);
    },
    kept: (input) => say({ kind: "kept", input }),
    progress: (executions) => say({ kind: "progress", executions }),
  });
  say({ kind: "done", result });
}
