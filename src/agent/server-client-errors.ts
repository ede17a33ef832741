/** Turns a failed call to the server into an `AgentError` that says what the agent should do. */
import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { RetryInfo } from "../gen/google/rpc/error_details.ts";
import { Status } from "../gen/google/rpc/status.ts";
import { PermissionDeniedDetails, PermissionDeniedDetails_Reason as Reason } from "../gen/spire/api/types/status.ts";
import { AgentError, type AgentErrorOptions, type ErrorCode, findAgentError, type Recovery } from "../lib/errors.ts";
import { GrpcCode, grpcCodeName } from "../lib/grpc-status.ts";

/** A call that the server answered with an error, or that did not reach it. */
export class ServerCallError extends AgentError {
  /** Milliseconds that the server asks us to wait before the next try; 0 when it says nothing. */
  readonly retryAfterMs: number;

  constructor(code: ErrorCode, message: string, options: AgentErrorOptions & { readonly retryAfterMs?: number } = {}) {
    super(code, message, options);
    this.retryAfterMs = options.retryAfterMs ?? 0;
  }
}

/** The server's request to wait, found anywhere in the chain of causes; 0 when there is none. */
export function retryAfterMs(error: unknown): number {
  const known = findAgentError(error);
  return known instanceof ServerCallError ? known.retryAfterMs : 0;
}

/** Longer hints are cut: a server's mistake must not silence an agent. */
const MAX_RETRY_AFTER_MS = 60_000;

const CODES: Record<GrpcCode, ErrorCode> = {
  [GrpcCode.OK]: "INTERNAL",
  [GrpcCode.CANCELLED]: "CANCELLED",
  [GrpcCode.UNKNOWN]: "INTERNAL",
  [GrpcCode.INVALID_ARGUMENT]: "INVALID_ARGUMENT",
  [GrpcCode.DEADLINE_EXCEEDED]: "DEADLINE_EXCEEDED",
  [GrpcCode.NOT_FOUND]: "NOT_FOUND",
  [GrpcCode.ALREADY_EXISTS]: "ALREADY_EXISTS",
  [GrpcCode.PERMISSION_DENIED]: "PERMISSION_DENIED",
  [GrpcCode.RESOURCE_EXHAUSTED]: "RESOURCE_EXHAUSTED",
  [GrpcCode.FAILED_PRECONDITION]: "FAILED_PRECONDITION",
  [GrpcCode.ABORTED]: "UNAVAILABLE",
  [GrpcCode.OUT_OF_RANGE]: "INVALID_ARGUMENT",
  [GrpcCode.UNIMPLEMENTED]: "UNIMPLEMENTED",
  [GrpcCode.INTERNAL]: "INTERNAL",
  [GrpcCode.UNAVAILABLE]: "UNAVAILABLE",
  [GrpcCode.DATA_LOSS]: "INTERNAL",
  [GrpcCode.UNAUTHENTICATED]: "UNAUTHENTICATED",
};

/** The code of ours for a gRPC code, also an unknown one. */
export function codeOfGrpc(code: number): ErrorCode {
  return CODES[code as GrpcCode] ?? "INTERNAL";
}

const RECOVERIES: Record<Reason, Recovery> = {
  [Reason.UNKNOWN]: "retry",
  [Reason.AGENT_EXPIRED]: "reattest",
  [Reason.AGENT_NOT_ATTESTED]: "reattest",
  [Reason.AGENT_NOT_ACTIVE]: "reattest",
  [Reason.AGENT_BANNED]: "stop-serving",
  [Reason.AGENT_MUST_REATTEST]: "reattest",
};

const REASON_NAMES = new Map(Object.entries(Reason).map(([name, value]) => [value as number, name]));

/**
 * @param call what was called, for the message
 * @param connection why the latest handshake failed, if it did: it says more than gRPC's "no connection established"
 */
export function fromServiceError(error: unknown, call: string, connection: AgentError | undefined): ServerCallError {
  if (!isServiceError(error)) return new ServerCallError("INTERNAL", `${call} failed`, { cause: error });
  if (error.code === status.UNAVAILABLE && connection !== undefined) {
    return new ServerCallError(connection.code, `${call}: cannot connect to the server`, {
      cause: connection,
      recovery: "retry",
    });
  }
  const { reason, retryAfterMs } = readDetails(error);
  const recovery = (reason === undefined ? undefined : RECOVERIES[reason]) ?? "retry";
  const name = reason === undefined ? "" : ` (${REASON_NAMES.get(reason) ?? "unknown reason"})`;
  return new ServerCallError(
    codeOfGrpc(error.code),
    `${call}: ${grpcCodeName(error.code)}: ${printable(error.details)}${name}`,
    { recovery, retryAfterMs },
  );
}

/** Reads `grpc-status-details-bin`. Whatever does not decode counts as absent: the status itself still holds. */
function readDetails(error: ServiceError): { readonly reason: Reason | undefined; readonly retryAfterMs: number } {
  let reason: Reason | undefined;
  let wait = 0;
  try {
    const [raw] = (error.metadata ?? new Metadata()).get("grpc-status-details-bin");
    if (!Buffer.isBuffer(raw)) return { reason, retryAfterMs: wait };
    for (const { typeUrl, value } of Status.decode(raw).details) {
      const type = typeUrl.slice(typeUrl.lastIndexOf("/") + 1);
      if (type === "spire.api.types.PermissionDeniedDetails" && error.code === status.PERMISSION_DENIED) {
        reason = PermissionDeniedDetails.decode(value).reason;
      } else if (type === "google.rpc.RetryInfo") {
        const { seconds = 0n, nanos = 0 } = RetryInfo.decode(value).retryDelay ?? {};
        wait = Math.min(MAX_RETRY_AFTER_MS, Math.max(0, Number(seconds) * 1_000 + nanos / 1e6));
      }
    }
  } catch {
    return { reason, retryAfterMs: wait };
  }
  return { reason, retryAfterMs: wait };
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && typeof error.code === "number" && "details" in error;
}

/** grpc-js wraps the cause of a failed connection in words of its own, once per layer. */
const CONNECTION_NOISE =
  /(?:round_robin|pick_first): |No connection established\. Last error: | \(\d{4}-\d\d-\d\dT[\d:.]+Z\)|\.? Resolution note: *$/g;

/** The server's text goes into our log: one line, no control characters, bounded. */
export function printable(text: string): string {
  return text
    .slice(0, 2_000)
    .replace(/[^\x20-\x7e]+/g, " ")
    .replace(CONNECTION_NOISE, "")
    .slice(0, 500);
}
