/** Waits until a process has nothing left to do. */
import { pause } from "./prepared.ts";
import { cpuMicros } from "./process-cost.ts";

const LOOK_EVERY_MS = 1_000;
/** Of one core. */
const BUSY_SHARE = 0.05;
/** Looks in a row that must find it idle. */
const CALM_LOOKS = 2;

/** Returns when the process was idle for a while, or after `timeoutMs`. */
export async function untilQuiet(pid: number, timeoutMs = 120_000): Promise<void> {
  const end = Date.now() + timeoutMs;
  for (let calm = 0, before = cpuMicros(pid); calm < CALM_LOOKS && Date.now() < end; ) {
    await pause(LOOK_EVERY_MS);
    const now = cpuMicros(pid);
    calm = now - before < BUSY_SHARE * LOOK_EVERY_MS * 1e3 ? calm + 1 : 0;
    before = now;
  }
}
