/** The one error class of Holdfast: a closed code, a detailed message for the log, a bland one for the peer. */

/** Everything that can go wrong, by what the receiver can do about it. Each maps to one gRPC status (`grpc-status.ts`). */
export type ErrorCode =
  /** The request, file or configuration is wrong and will stay wrong. */
  | "INVALID_ARGUMENT"
  /** The named thing does not exist. */
  | "NOT_FOUND"
  /** An identical thing exists already. */
  | "ALREADY_EXISTS"
  /** The caller is known and may not do this. */
  | "PERMISSION_DENIED"
  /** The caller could not be identified. */
  | "UNAUTHENTICATED"
  /** The system is not in the state that the call requires. */
  | "FAILED_PRECONDITION"
  /** A limit was reached; later may work. */
  | "RESOURCE_EXHAUSTED"
  /** Not built, or switched off. */
  | "UNIMPLEMENTED"
  /** Something needed cannot be reached or is not ready. */
  | "UNAVAILABLE"
  /** The caller's or our own deadline passed. */
  | "DEADLINE_EXCEEDED"
  /** The caller went away or we are stopping. */
  | "CANCELLED"
  /** A fault of ours. */
  | "INTERNAL"
  /** Bytes that do not follow their format (DER, HCL, JSON, a stored file). */
  | "MALFORMED"
  /** A certificate, chain or signature that does not verify. */
  | "UNTRUSTED"
  /** Stored data is damaged, foreign or of a newer version. */
  | "DATA_LOSS"
  /** A file, socket or port is held by another process. */
  | "IN_USE";

/** What the agent does about a refusal by the server; decided where the error enters. */
export type Recovery = "retry" | "reattest" | "stop-serving";

/** Options of `AgentError`. */
export interface AgentErrorOptions {
  /** The error underneath. */
  readonly cause?: unknown;
  /** What the peer may read. Default: a text that only names the code's class. */
  readonly publicMessage?: string;
  /** What the agent should do; absent where it is not the agent's to decide. */
  readonly recovery?: Recovery;
}

/** An expected failure. Bugs throw other errors and crash. */
export class AgentError extends Error {
  override readonly name = "AgentError";
  readonly code: ErrorCode;
  readonly publicMessage: string;
  readonly recovery: Recovery | undefined;

  constructor(code: ErrorCode, message: string, options: AgentErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.publicMessage = options.publicMessage ?? BLAND[code];
    this.recovery = options.recovery;
  }
}

/** An error whose whole message may be read by the peer. */
export function publicError(
  code: ErrorCode,
  message: string,
  options: Omit<AgentErrorOptions, "publicMessage"> = {},
): AgentError {
  return new AgentError(code, message, { ...options, publicMessage: message });
}

/** Finds the first `AgentError` in a chain of causes, at any depth. */
export function findAgentError(error: unknown): AgentError | undefined {
  for (let current = error, depth = 0; current !== undefined && depth < 32; depth++) {
    if (current instanceof AgentError) return current;
    current = current instanceof Error ? current.cause : undefined;
  }
  return undefined;
}

/** The code of the first `AgentError` in the chain; `INTERNAL` for anything else. */
export function errorCode(error: unknown): ErrorCode {
  return findAgentError(error)?.code ?? "INTERNAL";
}

/** One line for a log or a terminal: the messages of the whole chain of causes, joined with `: `, none twice. */
export function errorText(error: unknown): string {
  const parts: string[] = [];
  for (let current = error, depth = 0; current !== undefined && current !== null && depth < 32; depth++) {
    const text = current instanceof Error ? current.message : typeof current === "string" ? current : "unknown error";
    if (text !== "" && !parts.some((part) => part.includes(text))) parts.push(text);
    current = current instanceof Error ? current.cause : undefined;
  }
  return parts.join(": ");
}

const BLAND: Record<ErrorCode, string> = {
  INVALID_ARGUMENT: "invalid request",
  NOT_FOUND: "not found",
  ALREADY_EXISTS: "already exists",
  PERMISSION_DENIED: "permission denied",
  UNAUTHENTICATED: "caller could not be identified",
  FAILED_PRECONDITION: "not possible in this state",
  RESOURCE_EXHAUSTED: "limit reached",
  UNIMPLEMENTED: "not implemented",
  UNAVAILABLE: "unavailable",
  DEADLINE_EXCEEDED: "deadline exceeded",
  CANCELLED: "cancelled",
  INTERNAL: "internal error",
  MALFORMED: "malformed data",
  UNTRUSTED: "verification failed",
  DATA_LOSS: "stored data is unusable",
  IN_USE: "in use",
};
