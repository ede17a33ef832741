/** What a change costs an agent whose streams are held open, and when it reaches them. */
import { costOf } from "./cost.ts";
import type { Pair } from "./pair.ts";
import { monotonicMicros } from "./worker.ts";

/** What one change came to. */
export interface UpdateCost {
  /** From the administrator's call to the last stream, ms. */
  readonly after: number;
  /** From the first stream to the last, ms. */
  readonly span: number;
  /** The agent's processor time from the call until the streams were quiet for two seconds, ms. */
  readonly cpu: number;
  /** Of each stream. */
  readonly messages: number;
  /** Of each stream, KB. */
  readonly kilobytes: number;
}

const TIMEOUT_MS = 60_000;

/** Makes a change while `open` streams are held. Throws when it does not reach them all. */
export async function updateCost(pair: Pair, open: number, change: () => Promise<void>): Promise<UpdateCost> {
  await pair.workload.call("arm");
  const started = monotonicMicros();
  const { result, cpu } = await costOf(pair.pidOf(pair.agent), async () => {
    await change();
    return await pair.workload.call("change", { timeoutMs: TIMEOUT_MS });
  });
  if (result.reached !== open) throw new Error(`a change reached ${result.reached} of ${open} streams`);
  return {
    after: (result.last - started) / 1e3,
    span: (result.last - result.first) / 1e3,
    cpu: cpu / 1e3,
    messages: result.messages / open,
    kilobytes: result.bytes / open / 1e3,
  };
}

/** DNS names by which an entry's SVID is told from the one before; of another length each time. */
export function nextNames(round: number): readonly string[] {
  return round % 2 === 0 ? ["a-longer-name.example.org"] : [];
}
