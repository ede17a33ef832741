/** What became of the entries of a batch, once the server's results are judged. */
import { turn } from "../lib/turn.ts";
import type { AuthorizedEntry } from "../spiffe/entry.ts";
import type { BatchResult } from "./server-client-batch.ts";

/** What became of an entry. */
export type SigningOutcome<S> = { readonly entry: AuthorizedEntry } & (
  | { readonly ok: true; readonly svid: S }
  | { readonly ok: false; readonly error: unknown }
);

/** Judged before callers of the agent get a turn: a few milliseconds. */
const JUDGED_PER_TURN = 8;

/** Judges the results of requests, in order; what `judge` throws refuses the one result. */
export async function judgeEach<Q extends { readonly entry: AuthorizedEntry }, T, S>(
  requests: readonly Q[],
  results: readonly BatchResult<T>[],
  judge: (value: T, request: Q) => S | Promise<S>,
): Promise<readonly SigningOutcome<S>[]> {
  const outcomes: SigningOutcome<S>[] = [];
  for (const [index, request] of requests.entries()) {
    if (index % JUDGED_PER_TURN === JUDGED_PER_TURN - 1) await turn();
    const { entry } = request;
    const result = results[index];
    if (result === undefined) throw new Error("a request without a result");
    try {
      if (!result.ok) throw result.error;
      outcomes.push({ entry, ok: true, svid: await judge(result.value, request) });
    } catch (error) {
      outcomes.push({ entry, ok: false, error });
    }
  }
  return outcomes;
}
