/** `localauthority` end to end: what hangs below a tainted authority is issued anew before that is revoked. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { decodeProtectedHeader } from "jose";
import { describe, expect, test } from "vitest";
import { parseCertificate } from "../../src/pki/certificate.ts";
import { pemDecode } from "../../src/pki/pem.ts";
import { authorities } from "./authorities.ts";
import { admin, Folder, makeSite, Pair, PROGRAMS, run, SELF, startServer } from "./support.ts";

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

/** The subject key identifier of the CA that signed what a fetch brings now. */
async function signerOfSvid(pair: Pair): Promise<string> {
  const folder = join(pair.site.folder, "fetched");
  mkdirSync(folder, { recursive: true });
  const args = ["api", "fetch", "x509", "-socketPath", pair.site.agentSocket, "-write", folder];
  const { status, stderr } = await run(pair.programs.agent, args);
  if (status !== 0) throw new Error(stderr);
  const [leaf] = pemDecode(readFileSync(join(folder, "svid.0.pem"), "utf8"), "CERTIFICATE");
  return Buffer.from(parseCertificate(leaf!).authorityKeyId ?? []).toString("hex");
}

describe("a taint of the CA re-issues what hangs below it", () => {
  const cases = [
    ["holdfast-agent", PROGRAMS.agent],
    ["a stock spire-agent", spireAgent],
  ] as const;
  test.for(cases)("with %s, which goes on after the revocation", { timeout: 120_000 }, async ([, agent], { skip }) => {
    if (agent === undefined) return skip("spire-agent is not on PATH");
    await using pair = await Pair.start({}, { server: PROGRAMS.server, agent });
    await pair.createEntry(ID, [`unix:uid:${SELF}`]);
    await pair.untilServed(ID);
    const x509 = authorities(pair.site, "x509", PROGRAMS.server);
    const { before, after } = await x509.rotate();
    expect(await signerOfSvid(pair)).toBe(before);
    const serial = async (): Promise<string> =>
      /Serial number\s*: (\d+)/.exec(await admin(pair.site, ["agent", "list"]))?.[1] ?? "";
    const agentSerial = await serial();
    await x509.say("taint", "-authorityID", before);
    await pair.agent.until("new SVIDs", async () => (await signerOfSvid(pair)) === after, 60_000);
    await pair.agent.until("a new SVID of the agent", async () => (await serial()) !== agentSerial, 60_000);
    await x509.say("revoke", "-authorityID", before);
    const bundle = await admin(pair.site, ["bundle", "show"]);
    const left = pemDecode(bundle, "CERTIFICATE").map((der) => parseCertificate(der).subjectKeyId);
    expect(left.map((id) => Buffer.from(id ?? []).toString("hex"))).toEqual([after]);
    // A connection that is made now is judged by the bundle as it is now.
    await pair.createEntry(`${ID}/2`, [`unix:uid:${SELF}`]);
    await pair.untilServed(`${ID}/2`);
  });
});

test("a stock spire-agent drops the tokens of a tainted JWT key", { timeout: 120_000 }, async ({ skip }) => {
  if (spireAgent === undefined) return skip("spire-agent is not on PATH");
  await using pair = await Pair.start({}, { server: PROGRAMS.server, agent: spireAgent });
  await pair.createEntry(ID, [`unix:uid:${SELF}`]);
  await pair.untilServed(ID);
  const socket = ["-socketPath", pair.site.agentSocket];
  const fetch = async (): Promise<string> => {
    const { stdout } = await run(spireAgent, ["api", "fetch", "jwt", "-audience", "a", "-output", "json", ...socket]);
    const [{ svids }] = JSON.parse(stdout) as [{ svids: { svid: string }[] }];
    return svids[0]?.svid ?? "";
  };
  const first = await fetch();
  const jwt = authorities(pair.site, "jwt", PROGRAMS.server);
  const { before, after } = await jwt.rotate();
  expect(decodeProtectedHeader(first).kid).toBe(before);
  expect(await fetch()).toBe(first);
  await jwt.say("taint", "-authorityID", before);
  await pair.agent.until("a new token", async () => decodeProtectedHeader(await fetch()).kid === after, 60_000);
  const validate = async (token: string): Promise<number> =>
    (await run(spireAgent, ["api", "validate", "jwt", "-audience", "a", "-svid", token, ...socket])).status;
  expect(await validate(await fetch())).toBe(0);
  expect(await validate(first)).toBe(0);
  await jwt.say("revoke", "-authorityID", before);
  await pair.agent.until("the revocation", async () => (await validate(first)) === 1, 60_000);
});

describe("localauthority of each side on the other's server", () => {
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
    const kinds = [
      ["x509", "X.509"],
      ["jwt", "JWT"],
      ["wit", "WIT"],
    ] as const;
    // SPIRE has no such thing yet, on either side.
    const common = tool === server ? kinds : kinds.slice(0, 2);
    for (const [kind, word] of common) {
      const { say, shown } = authorities(site, kind, tool);
      const lines = (id: string): string =>
        `  Authority ID: ${id}\n  Expires at: \\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d \\+0000 UTC\n` +
        (kind === "x509" ? "  Upstream authority ID: No upstream authority\n" : "");
      const none = (status: string): string => `  No ${status} ${word} authority found\n`;
      const one = await shown("active");
      const all = (active: string, prepared: string, old: string): RegExp =>
        new RegExp(
          `^Active ${word} authority:\n${active}\nPrepared ${word} authority:\n${prepared}\nOld ${word} authority:\n${old}$`,
        );
      expect(await say("show")).toMatch(all(lines(one), none("prepared"), none("old")));
      expect(await say("prepare")).toMatch(new RegExp(`^Prepared ${word} authority:\n`));
      const two = await shown("prepared");
      expect(await say("show")).toMatch(all(lines(one), lines(two), none("old")));
      expect(await say("activate", "-authorityID", two)).toMatch(
        new RegExp(`^Activated ${word} authority:\n${lines(two)}$`),
      );
      expect(await say("show")).toMatch(all(lines(two), none("prepared"), lines(one)));
      const tainted = JSON.parse(await say("taint", "-authorityID", one, "-output", "json")) as object;
      expect(tainted).toMatchObject({
        tainted_authority: { authority_id: one, upstream_authority_subject_key_id: "" },
      });
      expect(await say("revoke", "-authorityID", one)).toMatch(
        new RegExp(`^Revoked ${word} authority:\n${lines(one)}$`),
      );
      const refused = await run(tool, [
        "localauthority",
        kind,
        "taint",
        "-socketPath",
        site.serverSocket,
        "-authorityID",
        two,
      ]);
      expect(refused.status).toBe(1);
      expect(refused.stderr).toContain(
        `could not taint ${word} authority: rpc error: code = InvalidArgument desc = unable to taint current local authority`,
      );
    }
  });
});
