/** `api fetch jwt`: tokens for an audience, and the keys that verify them. */
import {
  type JWTBundlesResponse,
  type JWTSVIDResponse,
  SpiffeWorkloadAPIService,
} from "../../gen/workload/workload.ts";
import { visible, visibleLines } from "../../lib/visible.ts";
import { type CommandRun, text, UsageError } from "../command.ts";
import { outputFormat } from "../output.ts";
import { protoJson } from "../proto-json.ts";
import { call } from "../rpc-client.ts";
import { firstMessage } from "./first-message.ts";
import { SECURITY_HEADER, timeoutMs, withAgent } from "./workload.ts";

export const run: CommandRun = async (options, context) => {
  const format = outputFormat(options);
  const timeout = timeoutMs(options);
  const audience = text(options, "audience");
  if (audience === "") throw new UsageError("audience must be specified");
  const request = { audience: audience.split(","), spiffeId: text(options, "spiffeID") };
  const { fetchJwtBundles, fetchJwtsvid } = SpiffeWorkloadAPIService;
  await withAgent(options, context, async (client) => {
    const deadline = (): number => context.clock.now() + timeout;
    const bundles = await firstMessage(client, fetchJwtBundles, {}, deadline());
    const svids = await call(client, fetchJwtsvid, request, { metadata: SECURITY_HEADER, deadline: deadline() });
    context.out(format === "json" ? `[${protoJson(svids)},${protoJson(bundles)}]\n` : jwtText(svids, bundles));
  });
  return 0;
};

/** As SPIRE prints them. */
function jwtText({ svids }: JWTSVIDResponse, { bundles }: JWTBundlesResponse): string {
  const tokens = svids.flatMap(({ spiffeId, svid, hint }) => [
    `token(${spiffeId}):\n\t${visible(svid)}\n`,
    ...(hint === "" ? [] : [`hint(${spiffeId}):\n\t${visible(hint)}\n`]),
  ]);
  const sets = Object.entries(bundles).map(
    ([trustDomain, jwks]) => `bundle(${trustDomain}):\n\t${visibleLines(jwks.toString())}\n`,
  );
  return [...tokens, ...sets].join("");
}
