/** Refusals that tell the caller more than a code: why an agent is not let in, or when to try again. */
import { AgentError, type ErrorCode } from "../lib/errors.ts";

/** Why an agent was denied, as `PermissionDeniedDetails` spells it. */
export type DeniedReason =
  | "AGENT_EXPIRED"
  | "AGENT_NOT_ATTESTED"
  | "AGENT_NOT_ACTIVE"
  | "AGENT_BANNED"
  | "AGENT_MUST_REATTEST";

/** A refusal with details. The edge turns them into a `google.rpc.Status`. */
export class Refused extends AgentError {
  /** For agents. */
  readonly reason: DeniedReason | undefined;
  /** Milliseconds after which the same call may succeed. */
  readonly retryAfterMs: number | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: {
      readonly publicMessage?: string;
      readonly reason?: DeniedReason;
      readonly retryAfterMs?: number;
      readonly cause?: unknown;
    },
  ) {
    super(code, message, { publicMessage: options.publicMessage ?? message, cause: options.cause });
    this.reason = options.reason;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** We have too much to do: the caller is sent away at once, with a hint when to return. */
export function overloaded(message: string, retryAfterMs: number): Refused {
  return new Refused("RESOURCE_EXHAUSTED", message, { retryAfterMs: Math.max(1, Math.ceil(retryAfterMs)) });
}
