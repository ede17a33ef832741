/** Reads X.509 contexts from the Workload API as its clients do. */
import { status as GrpcStatus } from "@grpc/grpc-js";
import type { SpiffeWorkloadAPIClient, X509SVIDResponse } from "../../gen/workload/workload.ts";
import { metadataOf, RpcError, rpcError } from "../rpc-client.ts";
import { SECURITY_HEADER } from "./workload.ts";

/** The first message of `FetchX509SVID`. Throws `RpcError`, also when no answer came by `deadline` (ms since the epoch). */
export function fetchX509(client: SpiffeWorkloadAPIClient, deadline: number): Promise<X509SVIDResponse> {
  return new Promise((resolve, reject) => {
    const stream = client.fetchX509Svid({}, metadataOf({ metadata: SECURITY_HEADER }), { deadline });
    stream.once("data", (response: X509SVIDResponse) => {
      stream.removeAllListeners();
      stream.on("error", () => {});
      stream.cancel();
      resolve(response);
    });
    stream.once("error", (error) => reject(rpcError(error)));
    stream.once("end", () =>
      reject(new RpcError(GrpcStatus.UNAVAILABLE, "the agent ended the stream without an answer")),
    );
  });
}

/** Calls `onUpdate` for each message until the signal aborts (then it resolves) or the stream fails (then it throws `RpcError`). */
export function watchX509(
  client: SpiffeWorkloadAPIClient,
  signal: AbortSignal,
  onUpdate: (response: X509SVIDResponse) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const stream = client.fetchX509Svid({}, metadataOf({ metadata: SECURITY_HEADER }), {});
    const onAbort = (): void => stream.cancel();
    const settle = (outcome: () => void): void => {
      signal.removeEventListener("abort", onAbort);
      outcome();
    };
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    stream.on("data", onUpdate);
    stream.once("error", (error) => settle(() => (signal.aborted ? resolve() : reject(rpcError(error)))));
    stream.once("end", () => settle(resolve));
  });
}
