/** Runs the items of a batch: each has its own status, and one that fails does not stop the others. */
import { errorText } from "../../lib/errors.ts";
import { GrpcCode, type GrpcStatus } from "../../lib/grpc-status.ts";
import type { LogFields, Logger } from "../../lib/log.ts";
import { turn } from "../../lib/turn.ts";
import type { RpcContext } from "../rpc-context.ts";
import { itemStatus, OK } from "./failure.ts";

/** What an item came to. `status` may say other than OK although there is a value. */
export interface ItemOutcome<T> {
  readonly status: GrpcStatus;
  readonly value?: T;
  /** What the audit log should say of the result. */
  readonly audit?: LogFields;
}

/** Runs one item. Failures of ours go to the log, those of the caller to the audit log only. */
export async function batchItem<T>(
  context: RpcContext,
  log: Logger,
  fields: LogFields,
  work: () => Promise<ItemOutcome<T>>,
): Promise<ItemOutcome<T>> {
  let outcome: ItemOutcome<T>;
  try {
    outcome = await work();
  } catch (error) {
    outcome = { status: itemStatus(error) };
    const { code } = outcome.status;
    const line = { ...fields, method: context.method, error: errorText(error) };
    if (code === GrpcCode.INTERNAL || code === GrpcCode.UNAVAILABLE) log.error("Item of a batch failed", line);
    else log.debug("Item of a batch refused", line);
  }
  context.auditItem({ ...fields, ...outcome.audit }, outcome.status);
  return outcome;
}

/** An item that went well. */
export function done<T>(value?: T, audit: LogFields = {}): ItemOutcome<T> {
  return value === undefined ? { status: OK, audit } : { status: OK, value, audit };
}

/** Items of a batch that are worked on at a time: enough to share commits. */
const ABREAST = 64;

/** Runs the items some at a time, started in order; results are in order. Others get a turn after every `abreast`. */
export async function mapItems<T, R>(
  items: readonly T[],
  work: (item: T) => Promise<R>,
  abreast: number = ABREAST,
): Promise<R[]> {
  const results: R[] = [];
  for (let start = 0; start < items.length; start += abreast) {
    if (start > 0) await turn();
    results.push(...(await Promise.all(items.slice(start, start + abreast).map(work))));
  }
  return results;
}
