/** JWT-SVIDs and authorities between our programs and SPIRE's, taken from `PATH`. */
import { execFileSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { decodeJwt, decodeProtectedHeader, type JWK } from "jose";
import { describe, expect, test } from "vitest";
import { admin, Folder, makeSite, type Outcome, Pair, PROGRAMS, run, SELF, startServer } from "./support.ts";

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

/** The only token that an `api fetch jwt -output json` of a stock agent printed. */
function tokenOf({ stdout }: Outcome): string {
  const [{ svids }] = JSON.parse(stdout) as [{ svids: { svid: string }[] }];
  return svids[0]?.svid ?? "";
}

describe("a stock spire-agent with holdfast-server", () => {
  test("fetches JWT-SVIDs and validates them", async ({ skip }) => {
    if (spireAgent === undefined) return skip("spire-agent is not on PATH");
    const issuer = '  jwt_issuer = "https://issuer.example.org"';
    await using pair = await Pair.start({ server: issuer }, { server: PROGRAMS.server, agent: spireAgent });
    await pair.createEntry(ID, [`unix:uid:${SELF}`], ["-jwtSVIDTTL", "120"]);
    await pair.untilServed(ID);
    const say = (...args: string[]): Promise<Outcome> =>
      run(spireAgent, ["api", ...args, "-socketPath", pair.site.agentSocket]);
    const fetch = async (audience: string): Promise<string> =>
      tokenOf(await say("fetch", "jwt", "-audience", audience, "-output", "json"));
    const token = await fetch("one");
    const { iat = 0, ...claims } = decodeJwt(token);
    expect(claims).toEqual({ sub: ID, aud: ["one"], iss: "https://issuer.example.org", exp: iat + 120 });
    const valid = await say("validate", "jwt", "-audience", "one", "-svid", token);
    expect(valid).toMatchObject({ status: 0, stdout: expect.stringContaining(`SPIFFE ID : ${ID}\n`) as string });
    expect((await say("validate", "jwt", "-audience", "two", "-svid", token)).status).toBe(1);
    expect((await say("validate", "jwt", "-audience", "one", "-svid", `${token.slice(0, -6)}AAAAAA`)).status).toBe(1);
  }, 120_000);
});

describe("jwt mint of each side on the other's server", () => {
  const cases = [
    ["spire-server's on holdfast-server", spireServer, PROGRAMS.server],
    ["holdfast-server's on spire-server", PROGRAMS.server, spireServer],
    ["holdfast-server's on its own", PROGRAMS.server, PROGRAMS.server],
  ] as const;
  test.for(cases)("%s", { timeout: 60_000 }, async ([_name, tool, server], { skip }) => {
    if (tool === undefined || server === undefined) return skip("spire-server is not on PATH");
    using folder = new Folder();
    const site = await makeSite(folder.path);
    await using _server = await startServer(site, server);
    const mint = (...args: string[]): Promise<string> => admin(site, ["jwt", "mint", "-spiffeID", ID, ...args], tool);
    const token = (await mint("-audience", "one", "-audience", "two", "-ttl", "90s")).trimEnd();
    const { iat = 0, ...claims } = decodeJwt(token);
    expect(claims).toEqual({ sub: ID, aud: ["one", "two"], exp: iat + 90 });
    const { kid, ...header } = decodeProtectedHeader(token);
    expect(header).toEqual({ alg: "ES256", typ: "JWT" });
    const bundle = await admin(site, ["bundle", "show", "-format", "spiffe"], tool);
    expect((JSON.parse(bundle) as { keys: object[] }).keys).toContainEqual(
      expect.objectContaining({ use: "jwt-svid", kid, kty: "EC", crv: "P-256" }),
    );
    const json = JSON.parse(await mint("-audience", "one", "-output", "json")) as { svid: { token: string } };
    expect(json.svid).toMatchObject({
      id: { trust_domain: "example.org", path: "/web" },
      hint: "",
      expires_at: String(decodeJwt(json.svid.token).exp),
    });
    const file = join(folder.path, "token");
    expect(await mint("-audience", "one", "-write", file)).toBe(`JWT-SVID written to ${file}\n`);
    expect(decodeJwt(readFileSync(file, "utf8")).sub).toBe(ID);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const bare = ["jwt", "mint", "-socketPath", site.serverSocket, "-spiffeID", ID];
    const capped = await run(tool, [...bare, "-audience", "one", "-ttl", "10000h"]);
    expect(capped.stderr).toMatch(/^JWT-SVID lifetime was capped shorter than specified ttl; expires "20.*Z"\n$/);
    expect((await run(tool, bare)).status).toBe(1);
  });
});

describe("wit mint of each side on the other's server", () => {
  const cases = [
    ["spire-server's on holdfast-server", spireServer, PROGRAMS.server],
    ["holdfast-server's on spire-server", PROGRAMS.server, spireServer],
    ["holdfast-server's on its own", PROGRAMS.server, PROGRAMS.server],
  ] as const;
  test.for(cases)("%s", { timeout: 60_000 }, async ([_name, tool, server], { skip }) => {
    if (tool === undefined || server === undefined) return skip("spire-server is not on PATH");
    using folder = new Folder();
    const site = await makeSite(folder.path, { server: '  experimental { feature_flags = ["wit-svid"] }' });
    await using _server = await startServer(site, server);
    // Without it, SPIRE's tool does not know the command.
    const env = { ...process.env, SPIRE_SERVER_FFLAGS: "wit-svid" };
    const mint = async (...args: string[]): Promise<string> => {
      const words = ["wit", "mint", "-socketPath", site.serverSocket, "-spiffeID", ID, ...args];
      const { status, stdout, stderr } = await run(tool, words, { env });
      if (status !== 0) throw new Error(stderr);
      return stdout;
    };
    const [token = "", key = ""] = (await mint("-ttl", "90s")).split("\n");
    const { iat = 0, ...claims } = decodeJwt(token);
    const { d: _d, ...publicKey } = JSON.parse(key) as JWK;
    expect(claims).toEqual({ sub: ID, exp: iat + 90, cnf: { jwk: { ...publicKey, alg: "ES256" } } });
    expect(decodeProtectedHeader(token)).toMatchObject({ alg: "ES256", typ: "wit+jwt" });
    const rsa = ["-keyType", "rsa-2048", "-signingAlgorithm", "PS256", "-output", "json"];
    const json = JSON.parse(await mint(...rsa)) as { private_key: string; svid: { token: string } };
    expect((JSON.parse(json.private_key) as JWK).kty).toBe("RSA");
    const { exp, iat: issuedAt } = decodeJwt(json.svid.token);
    expect(json.svid).toEqual({
      token: json.svid.token,
      id: { trust_domain: "example.org", path: "/web" },
      expires_at: exp,
      issued_at: issuedAt,
    });
    const written = await mint("-write", folder.path);
    const [tokenFile, keyFile] = [join(folder.path, "token"), join(folder.path, "key")];
    expect(written).toBe(`WIT-SVID written to ${tokenFile}\nPrivate key written to ${keyFile}\n`);
    expect([tokenFile, keyFile].map((file) => statSync(file).mode & 0o777)).toEqual([0o600, 0o600]);
  });
});
