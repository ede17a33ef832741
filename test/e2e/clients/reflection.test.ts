/** Reflection clients that know nothing of SPIFFE find the Workload API on the public socket and call it. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Outcome, Pair, run, SELF } from "../support.ts";
import { REFLECTION } from "./recipes.ts";
import { build } from "./support.ts";

const ID = "spiffe://example.org/web";
const SERVICES = [
  "SpiffeWorkloadAPI",
  "envoy.service.secret.v3.SecretDiscoveryService",
  "grpc.health.v1.Health",
  "grpc.reflection.v1.ServerReflection",
  "grpc.reflection.v1alpha.ServerReflection",
];
let pair: Pair;

beforeAll(async () => {
  pair = await Pair.start();
  await pair.createEntry(ID, [`unix:uid:${SELF}`]);
  await pair.untilServed(ID);
}, 120_000);
afterAll(async () => {
  await pair?.[Symbol.asyncDispose]();
});

test("Python's grpcio-reflection", { timeout: 300_000 }, async ({ skip }) => {
  const built = await build(REFLECTION);
  if ("missing" in built) return skip(built.missing);
  const [program = "", ...args] = built.command;
  const env = { ...process.env, SPIFFE_ENDPOINT_SOCKET: `unix://${pair.site.agentSocket}` };
  const { stdout, stderr } = await run(program, args, { env });
  expect(stderr).toBe("");
  const lines = stdout.trimEnd().split("\n");
  expect(lines.pop()).toBe(ID);
  expect(new Set(lines.map((line) => line.split("/")[1]))).toEqual(new Set(SERVICES));
  expect(lines).toContain("/SpiffeWorkloadAPI/ValidateJWTSVID: ValidateJWTSVIDRequest -> ValidateJWTSVIDResponse");
});

test("grpcurl", { timeout: 120_000 }, async ({ skip }) => {
  const grpcurl = process.env.GRPCURL ?? "grpcurl";
  if ((await attempt(grpcurl, ["-version"]))?.status !== 0) {
    return skip("GRPCURL is not set and grpcurl is not on PATH");
  }
  const header = ["-H", "workload.spiffe.io: true"];
  const say = (flags: readonly string[], ...words: string[]): Promise<Outcome> =>
    run(grpcurl, ["-plaintext", "-unix", ...flags, pair.site.agentSocket, ...words]);
  const listed = (await say([], "list")).stdout.trimEnd().split("\n");
  expect(new Set(listed)).toEqual(new Set(SERVICES));
  for (const service of SERVICES) {
    expect((await say([], "describe", service)).stdout).toContain(`${service} is a service:\n`);
  }
  // A stream without an end: its first message is enough.
  const fetched = await say([...header, "-max-time", "3"], "SpiffeWorkloadAPI/FetchX509SVID");
  expect(fetched.stdout).toContain(`"spiffeId": "${ID}"`);
  const request = ["-d", '{"audience": ["db"]}'];
  const token = await say([...header, ...request], "SpiffeWorkloadAPI/FetchJWTSVID");
  const { svids } = JSON.parse(token.stdout) as { svids: { svid: string }[] };
  const question = JSON.stringify({ audience: "db", svid: svids[0]?.svid });
  const valid = await say([...header, "-d", question], "SpiffeWorkloadAPI/ValidateJWTSVID");
  expect(JSON.parse(valid.stdout)).toMatchObject({ spiffeId: ID, claims: { aud: ["db"] } });
  const bare = await say(request, "SpiffeWorkloadAPI/FetchJWTSVID");
  expect(bare.stderr).toContain("Code: InvalidArgument");
});

async function attempt(program: string, args: readonly string[]): Promise<Outcome | undefined> {
  try {
    return await run(program, args);
  } catch {
    return undefined;
  }
}
