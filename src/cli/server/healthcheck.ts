/** `holdfast-server healthcheck`: asks the health service on the admin socket. */
import { HealthCheckResponse_ServingStatus, HealthService } from "../../gen/grpc/health/v1/health.ts";
import { errorText } from "../../lib/errors.ts";
import { type CommandRun, flag } from "../command.ts";
import { adminDeadline, call } from "../rpc-client.ts";
import { withServer } from "./admin.ts";

export const run: CommandRun = async (options, context) => {
  const verbose = flag(options, "verbose");
  if (verbose) context.out("Checking server health...\n");
  try {
    const { status } = await withServer(options, context, (client) =>
      call(client, HealthService.check, { service: "" }, adminDeadline(context)),
    );
    if (status === HealthCheckResponse_ServingStatus.SERVING) {
      context.out("Server is healthy.\n");
      return 0;
    }
    context.err("Error: server is unhealthy: the server is not serving\n");
  } catch (error) {
    if (verbose) context.err(`Failed to check health: ${errorText(error)}\n`);
    context.err("Error: server is unhealthy: unable to determine health\n");
    if (!verbose) context.err("Run it with -verbose to see why.\n");
  }
  return 1;
};
