/** `api fetch`, `watch` and `validate`: each side's command on the other's socket, through a rotation. */
import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { decodeProtectedHeader } from "jose";
import { expect, test } from "vitest";
import { authorities } from "../authorities.ts";
import { Daemon, type Outcome, Pair, PROGRAMS, run, SELF } from "../support.ts";

const ID = "spiffe://example.org/web";

function onPath(program: string): string | undefined {
  try {
    return execFileSync("sh", ["-c", `command -v ${program}`], { encoding: "utf8" }).trim();
  } catch {
    return undefined;
  }
}

const spireAgent = onPath("spire-agent");
const cases = [
  ["spire-agent's commands on holdfast-agent", spireAgent, PROGRAMS.agent],
  ["holdfast-agent's commands on spire-agent", PROGRAMS.agent, spireAgent],
  ["holdfast-agent's commands on its own", PROGRAMS.agent, PROGRAMS.agent],
] as const;

test.for(cases)("%s", { timeout: 180_000 }, async ([_name, tool, agent], { skip }) => {
  if (tool === undefined || agent === undefined) return skip("spire-agent is not on PATH");
  await using pair = await Pair.start({}, { server: PROGRAMS.server, agent });
  const socket = ["-socketPath", pair.site.agentSocket];
  const say = (...args: string[]): Promise<Outcome> => run(tool, ["api", ...args, ...socket]);
  const denied = await say("fetch", "x509");
  expect(denied).toMatchObject({ status: 1, stderr: expect.stringMatching(/no identity issued/) as string });
  await pair.createEntry(ID, [`unix:uid:${SELF}`]);
  await pair.untilServed(ID);
  await using watch = new Daemon("watch", tool, ["api", "watch", ...socket], join(pair.site.folder, "watch.log"));
  const updates = (): number => watch.log().split(`SPIFFE ID:\t\t${ID}\n`).length - 1;
  await watch.until("the first update", () => updates() > 0);

  const folder = join(pair.site.folder, "written");
  mkdirSync(folder);
  const serial = async (): Promise<string> => {
    const { status, stdout, stderr } = await say("fetch", "x509", "-write", folder);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toContain(`SPIFFE ID:\t\t${ID}\n`);
    return new X509Certificate(readFileSync(join(folder, "svid.0.pem"))).serialNumber;
  };
  const token = async (): Promise<string> => {
    const { status, stdout, stderr } = await say("fetch", "jwt", "-audience", "db", "-output", "json");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const [{ svids }] = JSON.parse(stdout) as [{ svids: { spiffe_id: string; svid: string }[] }];
    expect(svids[0]?.spiffe_id).toBe(ID);
    return svids[0]?.svid ?? "";
  };
  const validate = (svid: string, audience = "db"): Promise<Outcome> =>
    say("validate", "jwt", "-audience", audience, "-svid", svid);
  const json = await say("fetch", "x509", "-output", "json");
  expect(JSON.parse(json.stdout)).toMatchObject({ svids: [{ spiffe_id: ID }] });
  const [firstSerial, firstToken] = [await serial(), await token()];
  expect(await validate(firstToken)).toMatchObject({ status: 0, stdout: expect.stringContaining(ID) as string });
  expect((await validate(firstToken, "other")).status).toBe(1);

  const jwt = authorities(pair.site, "jwt", PROGRAMS.server);
  const { before: oldKey, after: newKey } = await jwt.rotate();
  await jwt.say("taint", "-authorityID", oldKey);
  await pair.agent.until("a new token", async () => decodeProtectedHeader(await token()).kid === newKey, 60_000);
  expect((await validate(await token())).status).toBe(0);
  await jwt.say("revoke", "-authorityID", oldKey);
  await pair.agent.until("the revocation", async () => (await validate(firstToken)).status === 1, 60_000);

  const x509 = authorities(pair.site, "x509", PROGRAMS.server);
  const { before } = await x509.rotate();
  const told = updates();
  await x509.say("taint", "-authorityID", before);
  await pair.agent.until("a new certificate", async () => (await serial()) !== firstSerial, 60_000);
  await watch.until("its update", () => updates() > told, 60_000);
});
