/** The server is away for longer than JWT-SVIDs live: those in reserve are given, by the real programs. */
import { execFileSync } from "node:child_process";
import { decodeJwt } from "jose";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Pair, PROGRAMS, run, SELF, startAgent, startServer } from "./support.ts";

const ID = "spiffe://example.org/web";
const SHORT_S = 4;
/** 1.25 times the budget of the server, an hour. */
const RESERVE_S = 4_500;

function onPath(program: string): string | undefined {
  try {
    return execFileSync("sh", ["-c", `command -v ${program}`], { encoding: "utf8" }).trim();
  } catch {
    return undefined;
  }
}

const spireServer = onPath("spire-server");

let pair: Pair;
beforeAll(async () => {
  pair = await Pair.start({
    server: `  default_jwt_svid_ttl = "${SHORT_S}s"\n  outage_budget = "1h"\n  jwt_reserve { enabled = true max_audiences = 2 }\n  audit_log_enabled = true`,
  });
  await pair.createEntry(ID, [`unix:uid:${SELF}`]);
  await pair.untilServed(ID);
});
afterAll(async () => {
  await pair?.[Symbol.asyncDispose]();
});

/** The token of this audience; undefined where there is none. */
async function fetchToken(audience = "db", { site } = pair): Promise<string | undefined> {
  const args = ["-audience", audience, "-output", "json", "-timeout", "8s", "-socketPath", site.agentSocket];
  const { stdout } = await run(PROGRAMS.agent, ["api", "fetch", "jwt", ...args]);
  if (stdout === "") return undefined;
  const [{ svids }] = JSON.parse(stdout) as [{ svids: { svid: string }[] }];
  return svids[0]?.svid;
}

function lifeOf(token: string | undefined): number {
  const { iat = 0, exp = 0 } = decodeJwt(token ?? "");
  return exp - iat;
}

const audited = (): number => pair.server.log().split("NewJWTSVIDReserve").length - 1;

test("while the server answers, tokens are short, and one is made for the reserve behind", async () => {
  expect(lifeOf(await fetchToken())).toBe(SHORT_S);
  await pair.server.until("a reserve", () => audited() >= 1);
  expect(lifeOf(await fetchToken())).toBe(SHORT_S);
  expect(audited()).toBe(1);
});

test("when it is gone and the short token has expired, the one in reserve is given, also after a restart", async () => {
  await pair.server.stop("SIGKILL");
  // The short token, as long as it is valid.
  await pair.agent.until("a token in reserve", async () => lifeOf(await fetchToken()) === RESERVE_S);
  const token = await fetchToken();
  expect(decodeJwt(token ?? "")).toMatchObject({ sub: ID, aud: ["db"] });
  for (const signal of ["SIGKILL", "SIGTERM"] as const) {
    await pair.agent.stop(signal);
    pair.agent = await startAgent(pair.site, []);
    await pair.agent.until("the same after a restart", async () => (await fetchToken()) === token);
  }
  const svid = ["-audience", "db", "-svid", token ?? "", "-socketPath", pair.site.agentSocket];
  const validated = await run(PROGRAMS.agent, ["api", "validate", "jwt", ...svid]);
  expect(validated.status).toBe(0);
  expect(pair.agent.log()).toContain("held in reserve are given");
  expect(pair.agent.log()).not.toContain(token);
});

test("what nobody asked for before has none", async () => {
  expect(await fetchToken("never-asked")).toBeUndefined();
});

test("when the server is back, tokens are short again", async () => {
  pair.server = await startServer(pair.site);
  await pair.agent.until("a short token", async () => lifeOf(await fetchToken()) === SHORT_S);
});

test("a stock spire-server is asked in vain, and the token at hand is given as ever", async ({ skip }) => {
  if (spireServer === undefined) skip("spire-server is not on PATH");
  const programs = { agent: PROGRAMS.agent, server: spireServer ?? "" };
  await using stock = await Pair.start({ agent: '  log_level = "debug"' }, programs);
  await stock.createEntry(ID, [`unix:uid:${SELF}`]);
  await stock.untilServed(ID);
  const token = await fetchToken("db", stock);
  expect(lifeOf(token)).toBe(300);
  await stock.agent.until("the refusal", () => stock.agent.log().includes("gives no JWT-SVIDs for the reserve"));
  await stock.server.stop("SIGKILL");
  expect(await fetchToken("db", stock)).toBe(token);
  expect(stock.agent.log()).not.toMatch(/level=(warn|error).*reserve/);
});
