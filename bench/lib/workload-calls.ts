/** The Workload API's calls as bytes, laid out once. */
import { grpcHeaders, OPENING, wholeCall } from "./frames.ts";

const FETCH = grpcHeaders("/SpiffeWorkloadAPI/FetchX509SVID", { "workload.spiffe.io": "true" });
const HEALTH = grpcHeaders("/grpc.health.v1.Health/Check");
const EMPTY = new Uint8Array(0);
const FRAME_HEADER = 9;

/** A call for `Connection.repeat`: its bytes, and where DATA begins in them. */
export interface LaidOut {
  readonly bytes: Buffer;
  readonly dataAt: number;
}

/** `FetchX509SVID`. */
export const FETCH_CALL: LaidOut = { bytes: wholeCall(FETCH, EMPTY, 1), dataAt: FRAME_HEADER + FETCH.length };
/** A health check: costs a server next to nothing. */
export const HEALTH_CALL: LaidOut = { bytes: wholeCall(HEALTH, EMPTY, 1), dataAt: FRAME_HEADER + HEALTH.length };
/** A whole connection for one `FetchX509SVID`: a single write. */
export const FIRST_FETCH: Buffer = Buffer.concat([OPENING, FETCH_CALL.bytes]);
