/** `holdfast-agent healthcheck`: asks the health service on the Workload API's socket. */
import { HealthCheckResponse_ServingStatus, HealthService } from "../../gen/grpc/health/v1/health.ts";
import { errorText } from "../../lib/errors.ts";
import { type CommandRun, flag } from "../command.ts";
import { call } from "../rpc-client.ts";
import { withAgent } from "./workload.ts";

const TIMEOUT_MS = 5_000;

export const run: CommandRun = async (options, context) => {
  const verbose = flag(options, "verbose");
  if (verbose) context.out("Checking agent health...\n");
  try {
    const { status } = await withAgent(options, context, (client) =>
      call(client, HealthService.check, { service: "" }, { deadline: context.clock.now() + TIMEOUT_MS }),
    );
    if (status === HealthCheckResponse_ServingStatus.SERVING) {
      context.out("Agent is healthy.\n");
      return 0;
    }
    context.err("Agent is unhealthy: the agent is not serving; its log and its health page say what it waits for\n");
  } catch (error) {
    if (verbose) context.err(`Failed to check health: ${errorText(error)}\n`);
    context.err("Agent is unhealthy: unable to determine health\n");
    if (!verbose) context.err("Run it with -verbose to see why.\n");
  }
  return 1;
};
