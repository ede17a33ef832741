/** What a handler knows of the call that it serves: who calls, as whom it was let in, and what it may ask the guard. */
import type { GrpcStatus } from "../lib/grpc-status.ts";
import type { LogFields } from "../lib/log.ts";
import type { SpiffeId } from "../spiffe/id.ts";
import type { Authorized } from "./authz.ts";
import type { Caller } from "./caller.ts";
import type { AttestedNode } from "./datastore/datastore.ts";

/** One authorized call. */
export interface RpcContext {
  /** Full method name, `/package.Service/Method`. */
  readonly method: string;
  readonly caller: Caller;
  readonly authorized: Authorized;
  /** Authorizes again, as every message of a long-lived stream must. Throws as `Authorizer.authorize` does. */
  reauthorize(): Promise<void>;
  /** Waits for `cost` tokens of the method's limit, if it has one, and authorizes again after a wait. Callers of the admin socket are never limited. Throws `RESOURCE_EXHAUSTED`, or as `reauthorize` does. */
  rateLimit(cost: number, signal: AbortSignal): Promise<void>;
  /** Adds fields to the call's line in the audit log. Never secrets; selectors only by name. */
  audit(fields: LogFields): void;
  /** Writes a line of its own for one item of a batch. */
  auditItem(fields: LogFields, status: GrpcStatus): void;
  /** For the adapter: what went wrong, for the log. */
  failed(error: unknown): void;
}

/** The agent that calls. Throws for a method that others may call too, which would be a bug. */
export function callingAgent(context: RpcContext): { readonly agentId: SpiffeId; readonly node: AttestedNode } {
  const { authorized } = context;
  if (authorized.as !== "agent") throw new Error(`${context.method} was not called by an agent`);
  return authorized;
}
