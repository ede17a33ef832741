/** Federated bundles, log levels and the debug service, between our programs and SPIRE's, taken from `PATH`. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { Folder, fetchX509, makeSite, type Outcome, Pair, PROGRAMS, run, SELF, startServer } from "./support.ts";

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

/** The bundle of `other.org`, as its server prints it. */
const other = { pem: "", spiffe: "" };

beforeAll(async () => {
  using folder = new Folder();
  const site = await makeSite(folder.path, { trustDomain: "other.org" });
  await using _server = await startServer(site);
  for (const format of ["pem", "spiffe"] as const) {
    const args = ["bundle", "show", "-format", format, "-socketPath", site.serverSocket];
    other[format] = (await run(PROGRAMS.server, args)).stdout;
  }
}, 60_000);

describe("a federated bundle reaches the workloads whose entries federate with it", () => {
  const cases = [
    ["holdfast-agent with holdfast-server", PROGRAMS.server, PROGRAMS.agent],
    ["a stock spire-agent with holdfast-server", PROGRAMS.server, spireAgent],
    ["holdfast-agent with spire-server", spireServer, PROGRAMS.agent],
  ] as const;
  test.for(cases)("%s", { timeout: 120_000 }, async ([, server, agent], { skip }) => {
    if (server === undefined || agent === undefined) return skip("SPIRE's programs are not on PATH");
    await using pair = await Pair.start({}, { server, agent });
    const file = join(pair.site.folder, "other.json");
    writeFileSync(file, other.spiffe);
    // Our command, whichever server it is.
    const bundle = (...args: string[]): Promise<Outcome> =>
      run(PROGRAMS.server, ["bundle", ...args, "-socketPath", pair.site.serverSocket]);
    const done = (text: string): Outcome => ({ status: 0, stdout: `${text}\n`, stderr: "" });
    const set = ["set", "-id", "other.org", "-format", "spiffe", "-path", file];
    expect(await bundle(...set)).toEqual(done("bundle set."));
    await pair.createEntry(ID, [`unix:uid:${SELF}`], ["-federatesWith", "spiffe://other.org"]);
    await pair.untilServed(ID);
    const federated = async (): Promise<Record<string, string>> => {
      const { federated_bundles } = JSON.parse((await fetchX509(pair.site)).stdout) as {
        federated_bundles: Record<string, string>;
      };
      return federated_bundles;
    };
    const root = Buffer.from(other.pem.replaceAll(/-----.*-----|\s/g, ""), "base64").toString("base64");
    await pair.agent.until("the bundle", async () => (await federated())["spiffe://other.org"] === root, 30_000);

    expect((await bundle("delete", "-id", "other.org")).status).toBe(1);
    expect(await federated()).toEqual({ "spiffe://other.org": root });
    expect(await bundle("delete", "-id", "other.org", "-mode", "dissociate")).toEqual(done("bundle deleted."));
    await pair.agent.until("no bundle", async () => Object.keys(await federated()).length === 0, 30_000);
    expect((await fetchX509(pair.site)).stdout).toContain(ID);
  });
});

describe("each side's commands print the same on", () => {
  const servers = [
    ["holdfast-server", PROGRAMS.server],
    ["spire-server", spireServer],
  ] as const;
  test.for(servers)("%s", { timeout: 120_000 }, async ([, server], { skip }) => {
    if (server === undefined || spireServer === undefined) return skip("spire-server is not on PATH");
    using folder = new Folder();
    const site = await makeSite(folder.path);
    await using _server = await startServer(site, server);
    const [pem, spiffe] = [join(folder.path, "other.pem"), join(folder.path, "other.json")];
    writeFileSync(pem, other.pem);
    writeFileSync(spiffe, other.spiffe);
    const by = (tool: string, words: string): Promise<Outcome> =>
      run(tool, [...words.split(" "), "-socketPath", site.serverSocket]);
    /** What the same words print by both tools, one after the other. */
    const same = async (words: string): Promise<string> => {
      const ours = await by(PROGRAMS.server, words);
      const theirs = await by(spireServer, words);
      expect(ours, words).toEqual(theirs);
      expect(ours.status, `${words}: ${ours.stderr}`).toBe(0);
      return ours.stdout;
    };
    const refused = async (words: string): Promise<void> => {
      const [ours, theirs] = [await by(PROGRAMS.server, words), await by(spireServer, words)];
      expect(ours, words).toEqual(theirs);
      expect(ours.status, words).toBe(1);
    };

    expect(await same("bundle list")).toBe("");
    expect(await same("bundle count")).toBe("1 bundle\n");
    expect(await same(`bundle set -id spiffe://other.org -path ${pem}`)).toBe("bundle set.\n");
    expect(await same("bundle list -id other.org")).toBe(other.pem);
    await same("bundle list -id other.org -format spiffe");
    expect(await same(`bundle set -id third.org -format spiffe -path ${spiffe}`)).toBe("bundle set.\n");
    await same(`bundle set -id third.org -format spiffe -path ${spiffe} -output json`);
    const listed = await same("bundle list -id third.org -format spiffe");
    expect(JSON.parse(listed)).toHaveProperty("keys.1.use", "jwt-svid");
    // Authorities, hint and sequence are what the other trust domain's server said.
    expect(JSON.parse(listed)).toEqual(JSON.parse(other.spiffe));
    expect(await same("bundle list")).toContain(`* third.org\n${"*".repeat(40)}\n${other.pem}`);
    await same("bundle list -format spiffe");
    await same("bundle list -output json");
    await same("bundle count -output json");
    await refused(`bundle set -id example.org -path ${pem}`);
    await refused("bundle list -id unknown.org");
    await refused("bundle delete -id example.org");
    expect((await by(PROGRAMS.server, "bundle delete -id other.org")).stdout).toBe("bundle deleted.\n");
    expect((await by(spireServer, "bundle delete -id third.org -mode delete")).stdout).toBe("bundle deleted.\n");
    await refused("bundle delete -id other.org");
    expect(await same("bundle count")).toBe("1 bundle\n");

    const levels = (now: string): string => `Logger Level : ${now}\nLaunch Level : info\n\n`;
    expect(await same("logger get")).toBe(levels("info"));
    for (const level of ["panic", "fatal", "error", "warn", "info", "debug", "trace"]) {
      expect(await same(`logger set -level ${level}`)).toBe(levels(level === "warn" ? "warning" : level));
    }
    expect(await same("logger get -output json")).toBe('{"current_level":"TRACE","launch_level":"INFO"}\n');
    expect(await same("logger set -level Error -output json")).toContain('"ERROR"');
    expect(await same("logger reset")).toBe(levels("info"));

    // An answer is kept for five seconds, so that both most likely get the same one.
    const info = async (tool: string): Promise<string> =>
      (await by(tool, "debug getinfo")).stdout.replace(/Uptime: .*/, "");
    expect(await info(PROGRAMS.server)).toBe(await info(spireServer));
    expect(await info(PROGRAMS.server)).toMatch(/\[1\] SPIFFE ID: {2}spiffe:\/\/example\.org\n/);
  });
});
