/** Answers of the server's batch calls: one result for each item, which fails for itself. */
import type { Status } from "../gen/spire/api/types/status.ts";
import { AgentError } from "../lib/errors.ts";
import { codeOfGrpc, printable, ServerCallError } from "./server-client-errors.ts";

/** What became of an item. */
export type BatchResult<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: AgentError };

/**
 * Reads the results of `count` items, in order; what `read` throws is the item's failure. Stock servers leave the status
 * out where an item went well. Throws `INTERNAL` when not every item has a result.
 */
export function batchResults<R extends { readonly status: Status | undefined }, T>(
  call: string,
  count: number,
  results: readonly R[],
  read: (result: R) => T,
): readonly BatchResult<T>[] {
  if (results.length !== count) {
    throw new ServerCallError("INTERNAL", `${call}: the server did not answer every item`);
  }
  return results.map((result) => {
    const { code = 0, message = "" } = result.status ?? {};
    if (code !== 0) return { ok: false, error: new AgentError(codeOfGrpc(code), printable(message)) };
    try {
      return { ok: true, value: read(result) };
    } catch (error) {
      return { ok: false, error: new AgentError("MALFORMED", `${call}: unusable item`, { cause: error }) };
    }
  });
}
