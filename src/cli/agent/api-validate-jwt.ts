/** `api validate jwt`: asks the agent whether a token is valid, and for whom. */
import { SpiffeWorkloadAPIService } from "../../gen/workload/workload.ts";
import { GrpcCode } from "../../lib/grpc-status.ts";
import { visible } from "../../lib/visible.ts";
import { type CliContext, type CommandRun, type OptionValues, text, UsageError } from "../command.ts";
import { outputFormat } from "../output.ts";
import { call, RpcError } from "../rpc-client.ts";
import { SECURITY_HEADER, timeoutMs, withAgent } from "./workload.ts";

export const run: CommandRun = async (options, context) => {
  const format = outputFormat(options);
  const timeout = timeoutMs(options);
  const audience = text(options, "audience");
  if (audience === "") throw new UsageError("audience must be specified");
  const svid = await readSvid(options, context);
  const { spiffeId, claims } = await withAgent(options, context, async (client) => {
    const deadline = context.clock.now() + timeout;
    try {
      return await call(
        client,
        SpiffeWorkloadAPIService.validateJwtsvid,
        { audience, svid },
        { metadata: SECURITY_HEADER, deadline },
      );
    } catch (error) {
      throw explained(error);
    }
  });
  // Claims keep their names, whatever they are.
  const all = JSON.stringify(sorted(claims ?? {}));
  context.out(
    format === "json"
      ? `{"claims":${all},"spiffe_id":${JSON.stringify(spiffeId)}}\n`
      : `SVID is valid.\nSPIFFE ID : ${spiffeId}\nClaims    : ${visible(all)}\n`,
  );
  return 0;
};

/** As SPIRE says it. */
function explained(error: unknown): unknown {
  if (!(error instanceof RpcError) || error.code !== GrpcCode.INVALID_ARGUMENT) return error;
  return new Error(`SVID is not valid: ${error.details}`);
}

async function readSvid(options: OptionValues, context: CliContext): Promise<string> {
  const given = text(options, "svid");
  const svid = given === "-" ? (await context.stdin()).trim() : given;
  if (svid === "") throw new UsageError("svid must be specified");
  return svid;
}

/** Members in order, at every depth. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(members.map(([name, member]) => [name, sorted(member)]));
}
