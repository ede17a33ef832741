/** Words failures as SPIRE does: what failed, then why, as far as the peer may know. */
import { AgentError, findAgentError } from "../../lib/errors.ts";
import { GrpcCode, type GrpcStatus, toGrpcStatus } from "../../lib/grpc-status.ts";
import { Refused } from "../refused.ts";

/** The status of a batch item that went well. */
export const OK: GrpcStatus = { code: GrpcCode.OK, message: "OK" };

/**
 * Runs a parser of what the peer sent. Whatever it throws becomes `INVALID_ARGUMENT`, `<what>: <why>`: the words
 * are about the peer's own bytes, so it may read them.
 */
export function parseInput<T>(what: string, parser: () => T): T {
  try {
    return parser();
  } catch (error) {
    throw invalidInput(what, error);
  }
}

/** `INVALID_ARGUMENT` for something that the peer sent. Errors that nobody expected stay as they are. */
export function invalidInput(what: string, cause: unknown): unknown {
  const known = findAgentError(cause);
  if (known === undefined) return cause;
  const message = `${what}: ${known.message}`;
  return new AgentError("INVALID_ARGUMENT", message, { publicMessage: message, cause });
}

/** Runs work of ours; a failure keeps its code, and is said to the peer as `<what>: <why>`, the why being bland. */
export async function attempt<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw failedTo(what, error);
  }
}

/** The same for an error in hand. */
export function failedTo(what: string, cause: unknown): AgentError {
  const known = findAgentError(cause);
  if (known instanceof Refused) return known;
  if (known === undefined) return new AgentError("INTERNAL", what, { publicMessage: what, cause });
  // For something that does not exist, the inner text adds nothing.
  const publicMessage = known.code === "NOT_FOUND" ? what : `${what}: ${known.publicMessage}`;
  return new AgentError(known.code, `${what}: ${known.message}`, { publicMessage, cause });
}

/** The status of a batch item that failed. */
export function itemStatus(error: unknown): GrpcStatus {
  return toGrpcStatus(error);
}
