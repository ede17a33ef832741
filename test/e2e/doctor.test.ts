/** `holdfast-agent doctor` before real servers, agents and TPMs: what it finds, what it says, and that it changes nothing. */
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Swtpm } from "../../scripts/lib/swtpm.ts";
import type { Check } from "../../src/cli/agent/doctor/check.ts";
import { loadNative } from "../../src/cli/native.ts";
import {
  admin,
  type Daemon,
  enroll,
  Folder,
  makeSite,
  NOBODY,
  type Outcome,
  PROGRAMS,
  run,
  SELF,
  type Site,
  startAgent,
  startServer,
} from "./support.ts";

const isRoot = SELF === 0;

/** The command as it is typed. */
function doctor(site: Site, args: readonly string[] = [], uid?: number): Promise<Outcome> {
  return run(PROGRAMS.agent, ["doctor", "-config", site.agentConfig, ...args], uid === undefined ? {} : { uid });
}

/** Its checks by their names; the exit status agrees with them. */
async function examine(site: Site, args: readonly string[] = [], uid?: number): Promise<Record<string, Check>> {
  const outcome = await doctor(site, [...args, "-output", "json"], uid);
  expect(outcome.stderr).toBe("");
  const report = JSON.parse(outcome.stdout) as { ok: boolean; checks: Check[] };
  expect(report.ok).toBe(report.checks.every(({ status }) => status !== "fail"));
  expect(outcome.status).toBe(report.ok ? 0 : 1);
  return Object.fromEntries(report.checks.map((check) => [check.name, check]));
}

/** The names of the checks that failed. */
function failed(checks: Readonly<Record<string, Check>>): string[] {
  return Object.values(checks)
    .filter(({ status }) => status === "fail")
    .map(({ name }) => name);
}

/** Everything below a folder that would tell of a change. */
function everything(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .sort()
    .map((name) => {
      const { mode, uid, size, ino, mtimeMs } = lstatSync(join(folder, name));
      return [name, mode, uid, size, ino, mtimeMs].join(" ");
    });
}

function edit(file: string, change: (text: string) => string): void {
  writeFileSync(file, change(readFileSync(file, "utf8")));
}

describe("with a server", () => {
  let folder: Folder;
  let site: Site;
  let server: Daemon;
  let token: string;

  beforeAll(async () => {
    folder = new Folder();
    site = await makeSite(folder.path);
    server = await startServer(site);
    ({ token } = await enroll(site));
  });
  afterAll(async () => {
    await server.stop("SIGKILL");
    folder[Symbol.dispose]();
  });

  test("a node that may join: all is well, and nothing was changed", async () => {
    const before = everything(join(folder.path, "agent"));
    const outcome = await doctor(site, ["-joinToken", token]);
    expect(outcome).toMatchObject({ status: 0, stderr: "" });
    expect(outcome.stdout).toMatch(/^ok {4}server {15}spiffe:\/\/example\.org\/spire\/server at 127\.0\.0\.1:\d+/m);
    expect(outcome.stdout).toMatch(/^ok {4}join_token /m);
    expect(outcome.stdout).toMatch(/ checks, none failed(, 1 warning)?\.\n$/);
    expect(outcome.stdout + outcome.stderr).not.toContain(token);
    expect(everything(join(folder.path, "agent"))).toEqual(before);
  });

  test("places that are missing are not made", async () => {
    const places = ["-dataDir", join(folder.path, "new/data"), "-socketPath", join(folder.path, "new/run/api.sock")];
    const checks = await examine(site, ["-joinToken", token, ...places]);
    expect(failed(checks)).toEqual([]);
    expect(checks.data_folder?.found).toContain("will be made");
    expect(checks.socket_folder?.found).toContain("will be made");
    expect(readdirSync(folder.path)).not.toContain("new");
  });

  test("no token", async () => {
    const checks = await examine(site);
    expect(failed(checks)).toEqual(["join_token"]);
    expect(checks.join_token?.advice).toContain("holdfast-server token generate");
  });

  test.skipIf(!isRoot)("a folder for the key that is another's", async () => {
    const place = join(folder.path, "data");
    mkdirSync(place);
    chownSync(place, NOBODY, NOBODY);
    const checks = await examine(site, ["-joinToken", token, "-dataDir", place], NOBODY);
    expect(failed(checks)).toEqual(["socket_folder", "key_folder"]);
  });

  test("a socket folder that others may write to", async () => {
    const open = join(folder.path, "open");
    mkdirSync(open);
    chmodSync(open, 0o777);
    const checks = await examine(site, ["-joinToken", token, "-socketPath", join(open, "api.sock")]);
    expect(failed(checks)).toEqual(["socket_folder"]);
    expect(checks.socket_folder?.found).toContain(`${open} on the way to the socket is writable by others`);
    expect(checks.socket_folder?.advice).toContain("/run/holdfast");
  });

  test.skipIf(!isRoot)("a data folder that is another's", async () => {
    const checks = await examine(site, ["-joinToken", token], NOBODY);
    expect(failed(checks)).toEqual(["socket_folder", "data_folder"]);
    expect(checks.user?.details).toEqual({ uid: NOBODY });
    expect(checks.data_folder?.found).toMatch(
      /cannot be used: EACCES; it belongs to root \(uid 0\) and has mode 0755$/,
    );
  });

  test.skipIf(!isRoot)("a data folder of the agent's user", async () => {
    const places = [join(folder.path, "nobody"), join(folder.path, "nobody/run")];
    for (const place of places) {
      mkdirSync(place);
      chownSync(place, NOBODY, NOBODY);
    }
    const config = join(folder.path, "nobody.conf");
    copyFileSync(site.agentConfig, config);
    edit(config, (text) => text.replaceAll(`"${folder.path}/agent"`, `"${places[0]}"`));
    const args = ["-joinToken", token, "-config", config, "-socketPath", join(places[1]!, "api.sock")];
    const own = await examine(site, args, NOBODY);
    expect(failed(own)).toEqual([]);
    expect(own.user?.status).toBe("ok");
    const root = await examine(site, args);
    expect(failed(root)).toEqual([]);
    expect(root.user).toMatchObject({ status: "warn", advice: expect.stringMatching(/sudo -u \S+ holdfast-agent/) });
  });

  test("a bundle of another server", async () => {
    using folder2 = new Folder();
    const other = await makeSite(folder2.path);
    await using _other = await startServer(other);
    await enroll(other);
    const checks = await examine(site, ["-joinToken", token, "-trustBundle", other.bundle]);
    expect(failed(checks)).toEqual(["server"]);
    expect(checks.server?.found).toContain(`is not vouched for by ${other.bundle}`);
    expect(checks.server?.advice).toContain("holdfast-server bundle show");
  });

  test("another trust domain", async () => {
    const checks = await examine(site, ["-joinToken", token, "-trustDomain", "other.org"]);
    expect(failed(checks)).toEqual(["server"]);
    expect(checks.server?.found).toContain("is spiffe://example.org/spire/server, not spiffe://other.org/spire/server");
  });

  test("a broken configuration is told with all its problems", async () => {
    const broken = join(folder.path, "broken.conf");
    copyFileSync(site.agentConfig, broken);
    edit(broken, (text) =>
      text.replace("server_port", "server_prot").replace("agent {", 'agent { log_level = "loud"\n'),
    );
    const outcome = await run(PROGRAMS.agent, ["doctor", "-config", broken]);
    expect(outcome.status).toBe(1);
    expect(outcome.stdout).toContain("server_prot: unknown key; did you mean server_port?");
    expect(outcome.stdout).toContain("log_level: must be one of");
    const json = await run(PROGRAMS.agent, ["doctor", "-config", join(folder.path, "nosuch"), "-output", "json"]);
    expect(json.status).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({ ok: false, checks: [{ name: "configuration", status: "fail" }] });
  });

  test("wrong use", async () => {
    for (const args of [["-timeout", "soon"], ["-output", "yaml"], ["-nosuch"]]) {
      const outcome = await doctor(site, args);
      expect(outcome).toMatchObject({ status: 1, stdout: "" });
      expect(outcome.stderr).toContain("Try 'holdfast-agent doctor -h'.");
    }
    const help = await run(PROGRAMS.agent, ["doctor", "--help"]);
    expect(help.stdout).toContain("Exit status 0: nothing failed");
  });

  test("a running agent, and one whose server is gone", async () => {
    const { token: own } = await enroll(site);
    {
      await using agent = await startAgent(site, ["-joinToken", own]);
      // Written behind the first sync, and then nothing is until something changes.
      await agent.until("stored SVIDs", () => existsSync(join(folder.path, "agent", "workloads.sealed")));
      const before = everything(join(folder.path, "agent"));
      const checks = await examine(site);
      expect(Object.values(checks).filter(({ status }) => status !== "ok" && status !== "skip")).toEqual([]);
      expect(checks.socket_folder?.found).toContain("an agent is running and serves it");
      expect(checks.data_folder?.found).toContain("an agent is running with it");
      expect(checks.join_token?.found).toContain("has joined");
      expect(checks.server?.found).toContain("verified by the stored bundle");
      expect(everything(join(folder.path, "agent"))).toEqual(before);
      const other = await examine(site, ["-dataDir", join(folder.path, "elsewhere"), "-joinToken", own]);
      expect(failed(other)).toEqual(["socket_folder"]);
      expect(other.socket_folder?.found).toContain("which is no agent with this data_dir");
    }
    await server.stop();
    const checks = await examine(site);
    expect(failed(checks)).toEqual(["server"]);
    expect(checks.server).toMatchObject({
      found: expect.stringContaining("ECONNREFUSED"),
      advice: expect.stringContaining("start the server"),
    });
    server = await startServer(site);
  });
});

const missing = Swtpm.missing() ?? loadNative().tpmUnavailable() ?? undefined;
const why = missing === undefined ? "" : ` (${missing})`;

describe("a node without a TPM", () => {
  test("is told what it lacks", async () => {
    using folder = new Folder();
    const attestor = 'NodeAttestor "tpm" { plugin_data { tcti = "device:/nosuch/tpmrm0" } }';
    const checks = await examine(await makeSite(folder.path, { agentAttestor: attestor }), ["-timeout", "2s"]);
    const about = loadNative().tpmUnavailable() === null ? "tpm_device" : "tpm_library";
    expect(failed(checks)).toEqual(["bundle", "server", about, ...(about === "tpm_library" ? ["tpm_device"] : [])]);
    expect(checks.tpm_device?.found).toContain("there is no /nosuch/tpmrm0");
    expect(checks.tpm?.status).toBe("skip");
  });
});

describe.skipIf(missing !== undefined)(`with a TPM${why}`, () => {
  let folder: Folder;
  let tpm: Swtpm;
  let site: Site;
  let server: Daemon;

  beforeEach(async () => {
    folder = new Folder();
    for (const name of ["vendors", "hashes"]) mkdirSync(join(folder.path, name));
    tpm = await Swtpm.start({ folder: join(folder.path, "tpm") });
    const where = `ca_path = "${folder.path}/vendors" hash_path = "${folder.path}/hashes"`;
    site = await makeSite(folder.path, {
      serverAttestor: `NodeAttestor "tpm" { plugin_data { ${where} } }`,
      agentAttestor: `NodeAttestor "tpm" { plugin_data { tcti = "${tpm.tcti}" } }`,
    });
    server = await startServer(site);
    writeFileSync(site.bundle, await admin(site, ["bundle", "show"]));
  });
  afterEach(async () => {
    await server?.stop("SIGKILL");
    await tpm?.[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  test("its certificate says what the server needs; with that, the agent joins", async () => {
    await tpm.extend("sha256", 7, Buffer.alloc(32, 1));
    const checks = await examine(site);
    expect(failed(checks)).toEqual([]);
    expect(checks.tpm?.details).toMatchObject({ manufacturer: "IBM" });
    const value = Buffer.from(await tpm.readPcr("sha256", 7)).toString("hex");
    expect(checks.tpm_pcrs).toMatchObject({
      status: "ok",
      details: { banks: ["sha256"], pcrs: { sha256: { "0": "00".repeat(32), "7": value } } },
    });
    expect(checks.ek_certificate).toMatchObject({
      status: "ok",
      advice: expect.stringContaining('put the certificate of "CN=swtpm-localca" into the server\'s ca_path'),
      details: { model: "swtpm", issuer: "CN=swtpm-localca" },
    });
    expect(await tpm.loadedHandles()).toEqual({ transient: 0, sessions: 0 });

    copyFileSync(tpm.roots[0]!, join(folder.path, "vendors/issuer.pem"));
    await using _agent = await startAgent(site);
    const joined = await examine(site);
    expect(failed(joined)).toEqual([]);
    const id = checks.endorsement_key?.details?.agent_id;
    expect(joined.agent_svid?.details).toMatchObject({ spiffe_id: id });
    expect(joined.ek_certificate?.advice).toBeUndefined();
  });

  test("the hash that it tells is the one that the server takes", async () => {
    const { endorsement_key: key } = await examine(site);
    writeFileSync(join(folder.path, "hashes", String(key?.details?.pub_hash)), "");
    await using _agent = await startAgent(site);
  });

  test("a TPM that stopped answering, and one that is gone", async () => {
    tpm.pause();
    const checks = await examine(site, ["-timeout", "1s"]);
    expect(failed(checks)).toEqual(["tpm"]);
    expect(checks.tpm?.found).toContain("no answer from the TPM by the deadline");
    expect(checks.endorsement_key?.status).toBe("skip");
    tpm.resume();
    await tpm.kill();
    const gone = await examine(site, ["-timeout", "1s"]);
    expect(failed(gone)).toEqual(["tpm"]);
    expect(gone.tpm?.advice).toContain("start swtpm");
  });

  test("a certificate of another key", async () => {
    await using other = await Swtpm.start({ folder: join(folder.path, "other") });
    const index = 0x01c00002;
    const foreign = await other.tpm.nvRead(index);
    await tpm.tpm.nvRemove(index);
    await tpm.tpm.nvStore(index, foreign!);
    const checks = await examine(site);
    expect(failed(checks)).toEqual(["endorsement_key"]);
    expect(checks.endorsement_key?.found).toContain("is not that of the TPM's rsa-2048 endorsement key");
  });

  test("a TPM in lockout, without certificate or the usual bank", async () => {
    await using bare = await Swtpm.start({ folder: join(folder.path, "bare"), ekCertificates: [], banks: ["sha1"] });
    await bare.lockout();
    edit(site.agentConfig, (text) => text.replace(tpm.tcti, bare.tcti));
    const checks = await examine(site);
    expect(failed(checks)).toEqual([]);
    expect(checks.tpm).toMatchObject({ status: "warn", found: expect.stringContaining("locked out") });
    expect(checks.tpm_pcrs).toMatchObject({ status: "warn", found: expect.stringContaining("none of sha256") });
    expect(checks.ek_certificate).toMatchObject({ status: "warn", advice: expect.stringContaining("hash_path") });
  });
});
