/** Puts what a refusal says besides its code into a serialised `google.rpc.Status`. */
import type { Any } from "../../gen/google/protobuf/any.ts";
import { RetryInfo } from "../../gen/google/rpc/error_details.ts";
import { Status } from "../../gen/google/rpc/status.ts";
import { PermissionDeniedDetails, PermissionDeniedDetails_Reason } from "../../gen/spire/api/types/status.ts";
import { findAgentError } from "../../lib/errors.ts";
import { toGrpcStatus } from "../../lib/grpc-status.ts";
import { Refused } from "../refused.ts";

const TYPE_PREFIX = "type.googleapis.com/";

/** For `grpc-status-details-bin`; `undefined` for errors that say no more than their code and message. */
export function errorDetails(error: unknown): Uint8Array | undefined {
  const refused = findAgentError(error);
  if (!(refused instanceof Refused)) return undefined;
  const details: Any[] = [];
  if (refused.reason !== undefined) {
    const reason = PermissionDeniedDetails_Reason[refused.reason];
    const value = PermissionDeniedDetails.encode({ reason }).finish();
    details.push({ typeUrl: `${TYPE_PREFIX}spire.api.types.PermissionDeniedDetails`, value });
  }
  if (refused.retryAfterMs !== undefined) {
    const ms = Math.ceil(refused.retryAfterMs);
    const retryDelay = { seconds: BigInt(Math.floor(ms / 1000)), nanos: (ms % 1000) * 1_000_000 };
    details.push({ typeUrl: `${TYPE_PREFIX}google.rpc.RetryInfo`, value: RetryInfo.encode({ retryDelay }).finish() });
  }
  if (details.length === 0) return undefined;
  return Status.encode({ ...toGrpcStatus(refused), details }).finish();
}
