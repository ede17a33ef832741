/** What every call of the Workload API passes first, in this order: security header, arguments, attestation, lookup. */
import { findAgentError } from "../lib/errors.ts";
import { GrpcCode, toGrpcStatus } from "../lib/grpc-status.ts";
import type { Call, Method } from "../lib/rpc/transport.ts";
import type { ConnectedPeer } from "./peer.ts";

/** Keeps browsers and confused proxies from reaching the API (SPIFFE Workload Endpoint, section 3). */
const SECURITY_HEADER = "workload.spiffe.io";

/** A call of the Workload API. */
export type WorkloadCall = Call<ConnectedPeer>;

/** A method behind the security header: exactly one value, exactly `true`. An `AgentError` that `run` throws ends the call. */
export function guarded(run: (call: WorkloadCall, request: Uint8Array) => void): Method<ConnectedPeer> {
  return {
    kind: "single",
    run(call, request) {
      // Several values come joined with commas, and so differ from `true`.
      if (call.meta(SECURITY_HEADER) !== "true") {
        call.end(GrpcCode.INVALID_ARGUMENT, "security header missing from request");
        return;
      }
      endIfRefused(call, () => run(call, request));
    },
  };
}

/** Does `work`; an `AgentError` that it throws ends the call. */
export function endIfRefused(call: WorkloadCall, work: () => void): void {
  try {
    work();
  } catch (error) {
    if (findAgentError(error) === undefined) throw error;
    const { code, message } = toGrpcStatus(error);
    call.end(code, message);
  }
}
