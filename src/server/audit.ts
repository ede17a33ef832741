/** The audit log: one line per call (and per item of a batch), with SPIRE's message and fields. */
import { GrpcCode, type GrpcStatus, grpcCodeName } from "../lib/grpc-status.ts";
import type { LogFields, Logger } from "../lib/log.ts";
import type { Authorized } from "./authz.ts";
import type { Caller } from "./caller.ts";

/** What the log says of each call. */
export interface AuditedCall {
  readonly method: string;
  readonly caller: Caller;
  readonly letInAs: Authorized | undefined;
}

/** Writes audit lines, or nothing when the log is off. */
export class AuditLog {
  readonly #log: Logger | undefined;

  /** Without a logger the audit log is off. */
  constructor(log: Logger | undefined) {
    this.#log = log;
  }

  /** Writes one line about a call, or an item of it. */
  write(call: AuditedCall, fields: LogFields, status: GrpcStatus): void {
    this.#log?.info("API accessed", {
      type: "audit",
      ...callFields(call.method, call.caller, call.letInAs),
      ...fields,
      ...statusFields(status),
    });
  }
}

/** Who called what, for any log line about a call. */
export function callFields(method: string, caller: Caller, authorized: Authorized | undefined): LogFields {
  const [, service = "", name = ""] = method.split("/");
  return {
    service: service.replace(/^spire\.api\.server\./, ""),
    method: name,
    ...callerFields(caller),
    ...(authorized !== undefined && {
      authorized_as: authorized.as === "any" ? "nobody" : authorized.as,
      ...(authorized.as !== "any" && { authorized_via: authorized.via }),
    }),
  };
}

function callerFields(caller: Caller): LogFields {
  if (caller.kind === "tls") {
    const host = caller.address.includes(":") ? `[${caller.address}]` : caller.address;
    return {
      caller_addr: `${host}:${caller.port}`,
      ...(caller.svid !== undefined && { caller_id: caller.svid.spiffeId }),
    };
  }
  const { process } = caller;
  if (process === undefined) return {};
  return {
    caller_uid: process.uid,
    caller_gid: process.gid,
    ...(process.path !== undefined && { caller_path: process.path }),
  };
}

function statusFields(status: GrpcStatus): LogFields {
  if (status.code === GrpcCode.OK) return { status: "success" };
  return { status: "error", status_code: grpcCodeName(status.code), status_message: status.message };
}
