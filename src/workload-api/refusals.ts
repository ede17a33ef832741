/** What is said of a call that gets nothing: the log hears the reason, within bounds; the caller hears the status. */
import { AgentError, errorText } from "../lib/errors.ts";
import { type GrpcStatus, grpcCodeName, toGrpcStatus } from "../lib/grpc-status.ts";
import type { Logger } from "../lib/log.ts";
import type { LogShare } from "../lib/log-share.ts";
import type { WorkloadCall } from "./guard.ts";

/** Where it is said. */
export interface RefusalLog {
  readonly log: Logger;
  /** Bounds what is said of callers, by uid. */
  readonly lines: LogShare<number>;
}

/** The caller matches nothing. */
export function sayDenied({ log, lines }: RefusalLog, { peer, method }: WorkloadCall): void {
  const fields = { pid: peer.pid, caller_uid: peer.uid, method, registered: false };
  lines.pass(peer.uid, (suppressed) => log.info("No identity issued", { ...fields, ...suppressed }));
}

/** The call failed. A caller that is not who it was loses its connection. */
export function sayFailed({ log, lines }: RefusalLog, { peer, method }: WorkloadCall, error: unknown): GrpcStatus {
  const status = toGrpcStatus(error);
  if (!peer.isUnchanged()) peer.refuse();
  const fields = { pid: peer.pid, caller_uid: peer.uid, method, status_code: grpcCodeName(status.code) };
  lines.pass(peer.uid, (suppressed) => log.warn("Call failed", { ...fields, error: errorText(error), ...suppressed }));
  return status;
}

/** Throws `UNAVAILABLE` when the caller is not the process that connected, or executes another file by now. */
export function checkUnchanged({ peer }: WorkloadCall): void {
  if (peer.isUnchanged()) return;
  throw new AgentError("UNAVAILABLE", "caller is not the process that connected", {
    publicMessage: "workload attestation failed",
  });
}
