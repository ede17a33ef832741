/** The one table from error codes to gRPC status codes: a missing line does not compile. */
import { type ErrorCode, findAgentError } from "./errors.ts";

/** gRPC status codes, by their canonical names. */
export const GrpcCode = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

/** One of the seventeen gRPC status codes. */
export type GrpcCode = (typeof GrpcCode)[keyof typeof GrpcCode];

const STATUS: Record<ErrorCode, GrpcCode> = {
  INVALID_ARGUMENT: GrpcCode.INVALID_ARGUMENT,
  NOT_FOUND: GrpcCode.NOT_FOUND,
  ALREADY_EXISTS: GrpcCode.ALREADY_EXISTS,
  PERMISSION_DENIED: GrpcCode.PERMISSION_DENIED,
  UNAUTHENTICATED: GrpcCode.UNAUTHENTICATED,
  FAILED_PRECONDITION: GrpcCode.FAILED_PRECONDITION,
  RESOURCE_EXHAUSTED: GrpcCode.RESOURCE_EXHAUSTED,
  UNIMPLEMENTED: GrpcCode.UNIMPLEMENTED,
  UNAVAILABLE: GrpcCode.UNAVAILABLE,
  DEADLINE_EXCEEDED: GrpcCode.DEADLINE_EXCEEDED,
  CANCELLED: GrpcCode.CANCELLED,
  INTERNAL: GrpcCode.INTERNAL,
  MALFORMED: GrpcCode.INVALID_ARGUMENT,
  UNTRUSTED: GrpcCode.PERMISSION_DENIED,
  DATA_LOSS: GrpcCode.DATA_LOSS,
  IN_USE: GrpcCode.FAILED_PRECONDITION,
};

/** A gRPC status as it goes to the peer. */
export interface GrpcStatus {
  readonly code: GrpcCode;
  readonly message: string;
}

/** The status of an error for the peer: its public message only. Anything that is no `AgentError` is `INTERNAL`. */
export function toGrpcStatus(error: unknown): GrpcStatus {
  const known = findAgentError(error);
  if (known === undefined) return { code: GrpcCode.INTERNAL, message: "internal error" };
  return { code: STATUS[known.code], message: known.publicMessage };
}

/** The canonical name of a status code, as SPIRE's tools print it (`NotFound`, `PermissionDenied`). */
export function grpcCodeName(code: number): string {
  const name = Object.entries(GrpcCode).find(([, value]) => value === code)?.[0];
  if (name === undefined) return `Code(${code})`;
  if (name === "OK") return "OK";
  return name.toLowerCase().replace(/(^|_)([a-z])/g, (_match, _sep, letter: string) => letter.toUpperCase());
}
