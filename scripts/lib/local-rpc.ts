/** Calls on the programs' Unix sockets from this process, for waits that would otherwise start a program each time. */
import type { Client } from "@grpc/grpc-js";
import { call, RpcError, stream, withClient } from "../../src/cli/rpc-client.ts";
import { HealthCheckResponse_ServingStatus, HealthService } from "../../src/gen/grpc/health/v1/health.ts";
import { SpiffeWorkloadAPIService, type X509SVIDResponse } from "../../src/gen/workload/workload.ts";

const HEADER = { "workload.spiffe.io": "true" };
const TIMEOUT_MS = 5_000;

/** Whether the program behind the socket says that it serves. */
export async function isServing(socketPath: string): Promise<boolean> {
  try {
    const deadline = Date.now() + TIMEOUT_MS;
    const { status } = await withClient(socketPath, (client) =>
      call(client, HealthService.check, { service: "" }, { deadline }),
    );
    return status === HealthCheckResponse_ServingStatus.SERVING;
  } catch (error) {
    if (error instanceof RpcError) return false;
    throw error;
  }
}

/** The first answer to this process: the SPIFFE IDs, or the gRPC status code that refused it. */
export function fetchIds(socketPath: string): Promise<readonly string[] | number> {
  return withClient(socketPath, firstAnswer);
}

function firstAnswer(client: Client): Promise<readonly string[] | number> {
  return new Promise((resolve) => {
    const answers = stream(
      client,
      SpiffeWorkloadAPIService.fetchX509Svid,
      {},
      { metadata: HEADER, deadline: Date.now() + TIMEOUT_MS },
    );
    answers.once("data", (response: X509SVIDResponse) => {
      resolve(response.svids.map(({ spiffeId }) => spiffeId));
      answers.cancel();
    });
    answers.on("error", (error: Error & { readonly code?: number }) => resolve(error.code ?? -1));
  });
}
