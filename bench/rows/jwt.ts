/** Rows: JWT-SVIDs from the agent's cache, and tokens that it validates. */
import {
  JWTSVIDRequest,
  JWTSVIDResponse,
  ValidateJWTSVIDRequest,
  ValidateJWTSVIDResponse,
} from "../../src/gen/workload/workload.ts";
import { costOf } from "../lib/cost.ts";
import { base64 } from "../lib/node-identity.ts";
import { Pair } from "../lib/pair.ts";
import { prepared } from "../lib/prepared.ts";
import { ratioAtLeast, ratioAtMost, type Scenario } from "../lib/scenario.ts";

const AUDIENCE = "bench";
const LANES = 32;
/** More tokens than either agent remembers. */
const TOKENS = 1_200;
/** Nothing is signed while it is measured. */
const LONG_LIVED = { server: '  default_jwt_svid_ttl = "2h"' };

function fetchRequest(...audience: string[]): string {
  return base64(JWTSVIDRequest.encode({ audience, spiffeId: "" }).finish());
}

function validateRequest(svid: string): string {
  return base64(ValidateJWTSVIDRequest.encode({ audience: AUDIENCE, svid }).finish());
}

/** Tokens as the agent gives them, each for another second audience. */
async function tokensOf(pair: Pair, count: number): Promise<string[]> {
  const requests = Array.from({ length: count }, (_, index) => fetchRequest(AUDIENCE, `peer-${index}`));
  const answers = await pair.workload.call("answers", { socket: pair.socket, method: "FetchJWTSVID", requests });
  return answers.map((answer) => {
    const [svid] = JWTSVIDResponse.decode(Buffer.from(answer, "base64")).svids;
    if (svid === undefined) throw new Error("no token");
    return svid.svid;
  });
}

/** The same token for every call. */
export const fetchJwt: Scenario = {
  name: "fetch-jwt",
  title: "FetchJWTSVID from the cache, one connection, 32 in flight",
  warm: true,
  measures: [
    { key: "rate", label: "rate", unit: "/s", target: ratioAtLeast(2.5) },
    { key: "cpu", label: "agent's CPU each", unit: "µs", target: ratioAtMost(0.25) },
  ],
  prepare: (subject, context) =>
    prepared(async (stack) => {
      const pair = stack.use(await Pair.start(subject, context, LONG_LIVED));
      const count = context.quick ? 500 : 10_000;
      const requests = [fetchRequest(AUDIENCE)];
      await tokensOf(pair, 1);
      return async () => {
        const { result, cpu } = await costOf(pair.pidOf(pair.agent), () =>
          pair.workload.call("ask", { socket: pair.socket, method: "FetchJWTSVID", requests, count, lanes: LANES }),
        );
        return { rate: (count * 1e6) / result.micros, cpu: cpu / count };
      };
    }),
};

/** Tokens that no agent remembers, and one that ours does. */
export const validateJwt: Scenario = {
  name: "validate-jwt",
  title: "ValidateJWTSVID, ES256, one connection, 32 in flight",
  warm: true,
  measures: [
    { key: "rate", label: "a token not seen lately: rate", unit: "/s", target: ratioAtLeast(2) },
    { key: "cpu", label: "… agent's CPU each", unit: "µs", target: ratioAtMost(0.35) },
    { key: "againRate", label: "one token again and again: rate", unit: "/s", target: ratioAtLeast(2) },
    { key: "againCpu", label: "… agent's CPU each", unit: "µs", target: ratioAtMost(0.35) },
  ],
  prepare: (subject, context) =>
    prepared(async (stack) => {
      const pair = stack.use(await Pair.start(subject, context, LONG_LIVED));
      const pid = pair.pidOf(pair.agent);
      const count = context.quick ? 600 : 6_000;
      const method = "ValidateJWTSVID";
      const requests = (await tokensOf(pair, context.quick ? 100 : TOKENS)).map(validateRequest);
      const answers = await pair.workload.call("answers", {
        socket: pair.socket,
        method,
        requests: requests.slice(0, 1),
      });
      const { spiffeId } = ValidateJWTSVIDResponse.decode(Buffer.from(answers[0] ?? "", "base64"));
      if (!spiffeId.endsWith("/caller/0")) throw new Error("the agent took the token for another's");
      const ask = async (some: readonly string[]): Promise<{ rate: number; cpu: number }> => {
        const { result, cpu } = await costOf(pid, () =>
          pair.workload.call("ask", { socket: pair.socket, method, requests: some, count, lanes: LANES }),
        );
        return { rate: (count * 1e6) / result.micros, cpu: cpu / count };
      };
      return async () => {
        const fresh = await ask(requests);
        const again = await ask(requests.slice(0, 1));
        return { ...fresh, againRate: again.rate, againCpu: again.cpu };
      };
    }),
};
