/** Measures a piece of work by its time and by what it makes a process spend. */
import { cpuMicros } from "./process-cost.ts";
import { monotonicMicros } from "./worker.ts";

/** Runs `work`; the processor time that process `pid` spent meanwhile, and the time that passed, in µs. */
export async function costOf<T>(
  pid: number,
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly cpu: number; readonly micros: number }> {
  const [cpu, from] = [cpuMicros(pid), monotonicMicros()];
  const result = await work();
  return { result, micros: monotonicMicros() - from, cpu: cpuMicros(pid) - cpu };
}
