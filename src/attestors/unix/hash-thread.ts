/** Hashes a file on a thread of its own, so that neither the event loop nor Node's file threads wait for it. */
import { Worker } from "node:worker_threads";
import type { Clock } from "../../lib/clock.ts";
import { AgentError } from "../../lib/errors.ts";

/** Hashes the open file of exactly `size` bytes: lower-case hex of its SHA-256. */
export type HashFile = (fd: number, size: number) => Promise<string>;

/** A file system that takes longer is not waited for. */
const TIMEOUT_MS = 60_000;
/** The compiled file stands beside the compiled caller, the source beside the source. */
const WORKER = new URL(`./hash-worker${import.meta.url.endsWith(".ts") ? ".ts" : ".js"}`, import.meta.url);

/** The promise settles when the thread is gone, which a file system that hangs may put off for ever. */
export function hashOnThread(clock: Clock): HashFile {
  return (fd, size) =>
    new Promise((resolve, reject) => {
      const worker = new Worker(WORKER, {
        workerData: { fd, size },
        env: {},
        execArgv: [],
        resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 4 },
      });
      let outcome: string | undefined;
      let failure: unknown;
      const disarm = clock.after(TIMEOUT_MS, () => void worker.terminate());
      worker.once("message", (digest: string) => {
        outcome = digest;
      });
      worker.once("error", (error) => {
        failure = error;
      });
      worker.once("exit", () => {
        disarm();
        if (outcome !== undefined) resolve(outcome);
        else reject(new AgentError("UNAVAILABLE", "the executable could not be hashed", { cause: failure }));
      });
    });
}
