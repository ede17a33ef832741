/** Long work in slices: between two of them, the rest of the process gets a turn of the event loop. */
import { setImmediate } from "node:timers/promises";

/** Resolves after pending I/O and timers had their turn. */
export async function turn(): Promise<void> {
  await setImmediate();
}
