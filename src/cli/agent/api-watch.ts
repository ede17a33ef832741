/** `api watch`: prints every update of the caller's X.509-SVIDs until it is interrupted. */
import { backoffDelay } from "../../lib/backoff.ts";
import { errorText } from "../../lib/errors.ts";
import { GrpcCode } from "../../lib/grpc-status.ts";
import { systemRandom } from "../../lib/random.ts";
import { isAbort } from "../../lib/tasks.ts";
import type { CommandRun } from "../command.ts";
import { outputFormat } from "../output.ts";
import { protoJson } from "../proto-json.ts";
import { RpcError } from "../rpc-client.ts";
import { withAgent } from "./workload.ts";
import { watchX509 } from "./x509-context.ts";
import { x509Text } from "./x509-print.ts";

const RETRY = { initialMs: 500, maxMs: 5_000 };

export const run: CommandRun = async (options, context) => {
  const format = outputFormat(options);
  const { signal, clock } = context;
  for (let failures = 0; !signal.aborted; ) {
    let asked = clock.monotonic();
    try {
      await withAgent(options, context, (client) =>
        watchX509(client, signal, (response) => {
          failures = 0;
          const now = clock.monotonic();
          context.out(format === "json" ? `${protoJson(response)}\n` : x509Text(response, now - asked));
          asked = now;
        }),
      );
    } catch (error) {
      // The standard tells clients not to repeat a call that was malformed (Workload Endpoint, section 6).
      if (error instanceof RpcError && error.code === GrpcCode.INVALID_ARGUMENT) throw error;
      context.err(`Error: ${errorText(error)}\n`);
    }
    failures++;
    try {
      await clock.sleep(
        backoffDelay(RETRY, failures, () => systemRandom.unit()),
        signal,
      );
    } catch (error) {
      if (!isAbort(error, signal)) throw error;
    }
  }
  return 0;
};
