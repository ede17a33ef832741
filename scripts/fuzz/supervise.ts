/** Watches over the thread that fuzzes: a hang or a want of memory is a finding like any other. */
import { Worker } from "node:worker_threads";
import { HEADER_BYTES, type Job, MAX_INPUT_BYTES, type Message } from "./job.ts";
import type { RunResult } from "./target.ts";

/** What to run, and who wants to hear of it. */
export interface Assignment extends Omit<Job, "shared" | "extraSeeds" | "keepGoing" | "cpuSeconds"> {
  /** Default: no limit. */
  readonly cpuSeconds?: number;
  readonly extraSeeds?: readonly Uint8Array[];
  readonly keepGoing?: boolean;
  /** An input may stand still so long before it is a hang. Default: 30 s. */
  readonly hangMs?: number;
  /** What all kept inputs and one run may need. Default: 512 MB. */
  readonly heapMb?: number;
  readonly onKept?: (input: Uint8Array) => void;
  readonly onProgress?: (executions: number) => void;
}

const LOOK_EVERY_MS = 100;

/** Fuzzes one target in a thread of its own until a limit is reached or something is found. */
export async function supervise(assignment: Assignment): Promise<RunResult> {
  const { module, target, seed, runs, seconds, instrumented, extraSeeds = [] } = assignment;
  const { cpuSeconds = Number.POSITIVE_INFINITY, keepGoing = false, hangMs = 30_000, heapMb = 512 } = assignment;
  const shared = new SharedArrayBuffer(HEADER_BYTES + MAX_INPUT_BYTES);
  const header = new Int32Array(shared, 0, 2);
  const job: Job = { module, target, seed, runs, seconds, cpuSeconds, instrumented, extraSeeds, keepGoing, shared };
  const started = performance.now();
  const worker = new Worker(new URL("./worker.ts", import.meta.url), {
    workerData: job,
    resourceLimits: { maxOldGenerationSizeMb: heapMb },
  });
  const { promise, resolve, reject } = Promise.withResolvers<RunResult>();
  const input = (): Uint8Array => new Uint8Array(shared, HEADER_BYTES, header[1]).slice();
  const brokeDown = (what: string): void =>
    resolve({
      ...NOTHING,
      executions: header[0] ?? 0,
      seconds: (performance.now() - started) / 1000,
      findings: [{ target, what, input: input() }],
    });
  worker.on("message", (message: Message) => {
    if (message.kind === "done") resolve(message.result);
    else if (message.kind === "kept") assignment.onKept?.(message.input);
    else assignment.onProgress?.(message.executions);
  });
  worker.on("error", (error: Error & { code?: string }) => {
    if (error.code === "ERR_WORKER_OUT_OF_MEMORY") brokeDown(`more than ${heapMb} MB of memory`);
    else reject(error);
  });
  let [count, looks] = [0, 0];
  // Looks are counted, not time: a machine that was suspended is no hang.
  const watch = setInterval(() => {
    if (header[0] !== count || count === 0) [count, looks] = [header[0] ?? 0, 0];
    else if (++looks * LOOK_EVERY_MS >= hangMs) brokeDown(`it did not return within ${hangMs} ms`);
  }, LOOK_EVERY_MS);
  try {
    return await promise;
  } finally {
    clearInterval(watch);
    await worker.terminate();
  }
}

const NOTHING = { executions: 0, accepted: 0, corpus: 0, reached: 0, places: 0, cpuSeconds: 0, slowestMs: 0 };
