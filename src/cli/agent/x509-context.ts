/** Reads X.509 contexts from the Workload API as its clients do. */
import type { Client } from "@grpc/grpc-js";
import { SpiffeWorkloadAPIService, type X509SVIDResponse } from "../../gen/workload/workload.ts";
import { rpcError, stream } from "../rpc-client.ts";
import { firstMessage } from "./first-message.ts";
import { SECURITY_HEADER } from "./workload.ts";

/** The first message of `FetchX509SVID`. Throws `RpcError`, also when no answer came by `deadline` (ms since the epoch). */
export function fetchX509(client: Client, deadline: number): Promise<X509SVIDResponse> {
  return firstMessage(client, SpiffeWorkloadAPIService.fetchX509Svid, {}, deadline);
}

/** Calls `onUpdate` for each message until the signal aborts (then it resolves) or the stream fails (then it throws `RpcError`). */
export function watchX509(
  client: Client,
  signal: AbortSignal,
  onUpdate: (response: X509SVIDResponse) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const updates = stream(client, SpiffeWorkloadAPIService.fetchX509Svid, {}, { metadata: SECURITY_HEADER });
    const onAbort = (): void => updates.cancel();
    const settle = (outcome: () => void): void => {
      signal.removeEventListener("abort", onAbort);
      outcome();
    };
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    updates.on("data", onUpdate);
    updates.once("error", (error) => settle(() => (signal.aborted ? resolve() : reject(rpcError(error)))));
    updates.once("end", () => settle(resolve));
  });
}
