/** The Workload API's calls as bytes, laid out once. */
import { grpcHeaders, OPENING, wholeCall } from "./frames.ts";

const SECURITY_HEADER = { "workload.spiffe.io": "true" };
const EMPTY = new Uint8Array(0);
const FRAME_HEADER = 9;

/** A call for `Connection.repeat`: its bytes, and where DATA begins in them. */
export interface LaidOut {
  readonly bytes: Buffer;
  readonly dataAt: number;
}

/** A call with its only request, which fits a frame. */
function laidOut(headers: Buffer, request: Uint8Array): LaidOut {
  return { bytes: wholeCall(headers, request, 1), dataAt: FRAME_HEADER + headers.length };
}

/** A call of a method of the Workload API. */
export function workloadCall(method: string, request: Uint8Array = EMPTY): LaidOut {
  return laidOut(grpcHeaders(`/SpiffeWorkloadAPI/${method}`, SECURITY_HEADER), request);
}

/** A whole connection for one call: a single write. */
export function firstCall({ bytes }: LaidOut): Buffer {
  return Buffer.concat([OPENING, bytes]);
}

/** `FetchX509SVID`. */
export const FETCH_CALL: LaidOut = workloadCall("FetchX509SVID");
/** A health check: costs a server next to nothing. */
export const HEALTH_CALL: LaidOut = laidOut(grpcHeaders("/grpc.health.v1.Health/Check"), EMPTY);
/** A whole connection for one `FetchX509SVID`: a single write. */
export const FIRST_FETCH: Buffer = firstCall(FETCH_CALL);
