/** Errors about DER. */
import { AgentError } from "../lib/errors.ts";

/** An error about bytes that are no DER, or no DER of the expected shape. */
export function malformed(what: string): AgentError {
  return new AgentError("MALFORMED", `DER: ${what}`);
}

/** Runs `read` and names `what` was read in errors about it. */
export function reading<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    throw new AgentError(error.code, `${what}: ${error.message}`, { cause: error.cause });
  }
}
