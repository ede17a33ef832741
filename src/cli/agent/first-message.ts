/** The first message of a stream of the Workload API, for commands that need no more. */
import type { Client, MethodDefinition } from "@grpc/grpc-js";
import { GrpcCode } from "../../lib/grpc-status.ts";
import { RpcError, rpcError, stream } from "../rpc-client.ts";
import { SECURITY_HEADER } from "./workload.ts";

/** Throws `RpcError`, also when no answer came by `deadline` (ms since the epoch). */
export function firstMessage<Req, Res>(
  client: Client,
  method: MethodDefinition<Req, Res>,
  request: Req,
  deadline: number,
): Promise<Res> {
  return new Promise((resolve, reject) => {
    const updates = stream(client, method, request, { metadata: SECURITY_HEADER, deadline });
    updates.once("data", (response: Res) => {
      resolve(response);
      // What the cancellation makes of the stream is told to a settled promise, which does not care.
      updates.cancel();
    });
    updates.on("error", (error) => reject(rpcError(error)));
    updates.once("end", () =>
      reject(new RpcError(GrpcCode.UNAVAILABLE, "the agent ended the stream without an answer")),
    );
  });
}
