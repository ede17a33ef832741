/** JWT-SVIDs of a stock spire-server through our agent, by the commands of both sides. */
import { execFileSync } from "node:child_process";
import { decodeJwt, decodeProtectedHeader } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Outcome, Pair, PROGRAMS, run, SELF } from "./support.ts";

const ID = "spiffe://example.org/web";

function onPath(program: string): string | undefined {
  try {
    return execFileSync("sh", ["-c", `command -v ${program}`], { encoding: "utf8" }).trim();
  } catch {
    return undefined;
  }
}

const spireServer = onPath("spire-server");
const spireAgent = onPath("spire-agent");

let pair: Pair | undefined;
beforeAll(async () => {
  if (spireServer === undefined) return;
  pair = await Pair.start(
    { server: '  jwt_issuer = "https://issuer.test"' },
    { server: spireServer, agent: PROGRAMS.agent },
  );
  await pair.createEntry(ID, [`unix:uid:${SELF}`], ["-jwtSVIDTTL", "60", "-hint", "internal"]);
  await pair.untilServed(ID);
});
afterAll(async () => {
  await pair?.[Symbol.asyncDispose]();
});

/** A command on the agent's socket. */
function api(tool: string, ...args: string[]): Promise<Outcome> {
  return run(tool, ["api", ...args, "-socketPath", pair?.site.agentSocket ?? ""]);
}

async function fetchToken(tool: string, audience: string): Promise<string> {
  const { stdout } = await api(tool, "fetch", "jwt", "-audience", audience, "-output", "json");
  const [{ svids }] = JSON.parse(stdout) as [{ svids: { svid: string }[] }];
  return svids[0]?.svid ?? "";
}

const tools = [
  ["holdfast-agent", PROGRAMS.agent],
  ["spire-agent", spireAgent],
] as const;

describe.each(tools)("%s on our socket, with a stock spire-server", (name, tool) => {
  test("fetches and validates", async ({ skip }) => {
    if (spireServer === undefined) return skip("spire-server is not on PATH");
    if (tool === undefined) return skip(`${name} is not on PATH`);
    const fetched = await api(tool, "fetch", "jwt", "-audience", "db,api");
    expect(fetched.stderr).toBe("");
    expect(fetched.stdout).toMatch(
      /^token\(spiffe:\/\/example\.org\/web\):\n\t(\S+)\nhint\(spiffe:\/\/example\.org\/web\):\n\tinternal\nbundle\(spiffe:\/\/example\.org\):\n\t\{\n {4}"keys": \[/,
    );
    const token = await fetchToken(tool, "db");
    expect(decodeProtectedHeader(token)).toMatchObject({ alg: "ES256", typ: "JWT", kid: expect.any(String) });
    expect(decodeJwt(token)).toMatchObject({ sub: ID, aud: ["db"], iss: "https://issuer.test" });
    expect(await fetchToken(tool, "db")).toBe(token);
    const validated = await api(tool, "validate", "jwt", "-audience", "db", "-svid", token);
    expect(validated.stdout).toMatch(
      /^SVID is valid\.\nSPIFFE ID : spiffe:\/\/example\.org\/web\nClaims {4}: \{"aud":\s?\["db"\]/,
    );
    const json = await api(tool, "validate", "jwt", "-audience", "db", "-svid", token, "-output", "json");
    expect(JSON.parse(json.stdout)).toEqual({ spiffe_id: ID, claims: decodeJwt(token) });
    const wrong = await api(tool, "validate", "jwt", "-audience", "x", "-svid", token);
    expect([wrong.status, wrong.stderr.trim().replace(/^Error: /, "")]).toEqual([
      1,
      'SVID is not valid: expected audience in ["x"] (audience=["db"])',
    ]);
    const broken = await api(tool, "validate", "jwt", "-audience", "db", "-svid", `${token.slice(0, -4)}AAAA`);
    expect(broken.stderr).toContain("SVID is not valid: token signature is invalid");
    const denied = await api(tool, "fetch", "jwt", "-audience", "db", "-spiffeID", "spiffe://example.org/x");
    expect([denied.status, denied.stderr]).toEqual([1, expect.stringContaining("no identity issued")]);
  });
});

test("both tools print the same", async ({ skip }) => {
  if (spireServer === undefined || spireAgent === undefined) return skip("SPIRE's programs are not on PATH");
  const both = (...args: string[]): Promise<string[]> =>
    Promise.all([PROGRAMS.agent, spireAgent].map(async (tool) => (await api(tool, ...args)).stdout));
  for (const output of [[], ["-output", "json"]]) {
    const [ours, theirs] = await both("fetch", "jwt", "-audience", "db", ...output);
    expect(ours).toBe(theirs);
  }
  const token = await fetchToken(PROGRAMS.agent, "db");
  const [ours, theirs] = await both("validate", "jwt", "-audience", "db", "-svid", token, "-output", "json");
  expect(ours).toBe(theirs);
});

test("a token on standard input", async ({ skip }) => {
  if (spireServer === undefined) return skip("spire-server is not on PATH");
  const token = await fetchToken(PROGRAMS.agent, "db");
  const command = `${PROGRAMS.agent} api validate jwt -audience db -svid - -socketPath ${pair?.site.agentSocket ?? ""}`;
  const { stdout } = await run("sh", ["-c", `echo ${token} | ${command}`]);
  expect(stdout).toContain("SVID is valid.");
});

test("a rotated JWT authority reaches the bundles, and its tokens are valid", async ({ skip }) => {
  if (spireServer === undefined || pair === undefined) return skip("spire-server is not on PATH");
  const { site, agent } = pair;
  const before = await fetchToken(PROGRAMS.agent, "rotation-1");
  const authority = (verb: string, ...args: string[]): Promise<Outcome> =>
    run(spireServer, ["localauthority", "jwt", verb, ...args, "-socketPath", site.serverSocket, "-output", "json"]);
  const prepared = JSON.parse((await authority("prepare")).stdout) as { prepared_authority: { authority_id: string } };
  const next = prepared.prepared_authority.authority_id;
  await agent.until("bundle", async () =>
    (await api(PROGRAMS.agent, "fetch", "jwt", "-audience", "rotation-2")).stdout.includes(`"kid": "${next}"`),
  );
  await authority("activate", "-authorityID", next);
  const after = await fetchToken(PROGRAMS.agent, "rotation-3");
  expect(decodeProtectedHeader(after).kid).toBe(next);
  for (const [token, audience] of [
    [before, "rotation-1"],
    [after, "rotation-3"],
  ] as const) {
    const { stdout } = await api(PROGRAMS.agent, "validate", "jwt", "-audience", audience, "-svid", token);
    expect(stdout).toContain("SVID is valid.");
  }
  const old = String(decodeProtectedHeader(before).kid);
  await authority("taint", "-authorityID", old);
  await agent.until("new token", async () => (await fetchToken(PROGRAMS.agent, "rotation-1")) !== before);
  expect(decodeProtectedHeader(await fetchToken(PROGRAMS.agent, "rotation-1")).kid).toBe(next);
}, 60_000);
