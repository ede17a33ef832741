/** What a new user gets wrong: each mistake ends with a clear message and loses nothing. */
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  admin,
  Daemon,
  enroll,
  Folder,
  makeSite,
  NOBODY,
  type Outcome,
  Pair,
  PROGRAMS,
  run,
  SELF,
  type Site,
  startServer,
} from "./support.ts";

let folder: Folder;
let site: Site;

beforeEach(async () => {
  folder = new Folder();
  site = await makeSite(folder.path);
});
afterEach(() => folder[Symbol.dispose]());

/** A run that must end by itself, with everything it said. */
async function runServer(args: readonly string[] = []): Promise<Outcome> {
  return ended(await run(PROGRAMS.server, ["run", "-config", site.serverConfig, ...args]));
}

async function runAgent(args: readonly string[] = []): Promise<Outcome> {
  return ended(await run(PROGRAMS.agent, ["run", "-config", site.agentConfig, ...args]));
}

function ended(outcome: Outcome): Outcome {
  expect(outcome.status).toBe(1);
  return { ...outcome, stdout: outcome.stdout + outcome.stderr };
}

function edit(file: string, change: (text: string) => string): void {
  writeFileSync(file, change(readFileSync(file, "utf8")));
}

describe("configuration", () => {
  test("an unknown key names its line and the nearest key; all problems come at once", async () => {
    edit(site.serverConfig, (text) =>
      text.replace('bind_address = "127.0.0.1"', 'bind_adress = "127.0.0.1"\n  ca_ttl = true'),
    );
    const { stderr, status } = await run(PROGRAMS.server, ["validate", "-config", site.serverConfig]);
    expect(status).toBe(1);
    expect(stderr).toMatch(/server\.conf:3:\d+: server\.bind_adress: .*bind_address/);
    expect(stderr).toMatch(/server\.conf:4:\d+: server\.ca_ttl: /);
    expect((await runServer()).stdout).toContain("bind_adress");
  });

  test("a missing file is named", async () => {
    const { stderr } = await run(PROGRAMS.agent, ["validate", "-config", "/nonexistent/agent.conf"]);
    expect(stderr).toContain("/nonexistent/agent.conf");
  });

  test("flags count as in the file", async () => {
    const validate = (port: string): Promise<Outcome> =>
      run(PROGRAMS.server, ["validate", "-config", site.serverConfig, "-serverPort", port]);
    expect((await validate("8081")).status).toBe(0);
    const { status, stderr } = await validate("99999");
    expect([status, stderr]).toEqual([1, expect.stringContaining("from 1 to 65535")]);
  });

  test("the seeds' blocks load as written", async () => {
    edit(site.serverConfig, (text) =>
      text.replace(
        'bind_address = "127.0.0.1"',
        `ca_subject {
  country      = ["US"]
  organization = ["Amazon Leo"]
  common_name  = ""
}
ca_ttl = "168h"          // intermediate CA cert lifetime
default_svid_ttl = "1h"  // leaf SVID lifetime
  bind_address = "127.0.0.1"`,
      ),
    );
    const { status, stdout, stderr } = await run(PROGRAMS.server, ["validate", "-config", site.serverConfig]);
    expect([status, stdout]).toEqual([0, "SPIRE server configuration file is valid.\n"]);
    expect(stderr).toContain("default_svid_ttl");
  });
});

describe("the server's start", () => {
  test("a port in use", async () => {
    const other = createServer().listen(site.port, "127.0.0.1");
    await new Promise((resolve) => other.once("listening", resolve));
    const { stdout } = await runServer();
    other.close();
    expect(stdout).toContain(`127.0.0.1:${site.port}`);
    expect(stdout).toContain("in use");
  });

  test("a second server on the same data_dir", async () => {
    await using _server = await startServer(site);
    expect((await runServer(["-socketPath", join(folder.path, "other.sock"), "-serverPort", "1"])).stdout).toContain(
      `data_dir ${folder.path}/server is in use`,
    );
  });

  test("a damaged database is named, refused and left as it is", async () => {
    await (await startServer(site)).stop();
    const file = join(folder.path, "server/datastore.sqlite3");
    const damaged = Buffer.concat([Buffer.from("not a database"), readFileSync(file).subarray(14)]);
    writeFileSync(file, damaged);
    expect((await runServer()).stdout).toContain(file);
    expect(readFileSync(file).equals(damaged)).toBe(true);
  });

  test("a damaged key file is named, refused and left as it is", async () => {
    await (await startServer(site)).stop();
    const file = join(folder.path, "server/keys.json");
    writeFileSync(file, '{"keys":{"x509-CA-A":"AAAA');
    expect((await runServer()).stdout).toContain(file);
    expect(readFileSync(file, "utf8")).toBe('{"keys":{"x509-CA-A":"AAAA');
  });

  test("another trust domain than the datastore's: refused, and the CA goes on", async () => {
    const show = async (): Promise<string> => {
      await using _server = await startServer(site);
      return await admin(site, ["bundle", "show"]);
    };
    const before = await show();
    expect((await runServer(["-trustDomain", "exampel.org"])).stdout).toContain(
      `${folder.path}/server/datastore.sqlite3 belongs to spiffe://example.org, and trust_domain is \\"exampel.org\\"`,
    );
    expect(await show()).toBe(before);
  });

  test("a damaged CA journal is named, refused and left as it is", async () => {
    await (await startServer(site)).stop();
    const file = join(folder.path, "server/datastore.sqlite3");
    using database = new DatabaseSync(file);
    database.exec("UPDATE ca_journal SET data = x'00'");
    expect((await runServer()).stdout).toContain(`the CA journal in SQLite database ${file} is damaged`);
    expect(database.prepare("SELECT hex(data) AS data FROM ca_journal").all()).toEqual([{ data: "00" }]);
  });

  test("a data folder that another user owns", async ({ skip }) => {
    if (SELF !== 0) return skip("only root can start a process as another user");
    const version = await run(PROGRAMS.server, ["--version"], { uid: NOBODY }).catch(() => undefined);
    if (version?.status !== 0) return skip("another user cannot run the programs of this checkout");
    chmodSync(join(folder.path, "server"), 0o700);
    const { status, stdout } = await run(PROGRAMS.server, ["run", "-config", site.serverConfig], { uid: NOBODY });
    expect([status, stdout]).toEqual([1, expect.stringContaining(`data_dir ${folder.path}/server cannot be used`)]);
  });

  test("a data folder that cannot be had", async () => {
    edit(site.serverConfig, (text) =>
      text.replace(`data_dir = "${folder.path}/server"`, 'data_dir = "/proc/holdfast"'),
    );
    expect((await runServer()).stdout).toContain("data_dir /proc/holdfast");
  });

  test("a socket folder that someone else owns", async ({ skip }) => {
    if (SELF !== 0) return skip("only root can give a folder away");
    chownSync(join(folder.path, "server/private"), NOBODY, NOBODY);
    expect((await runServer()).stdout).toContain("server/private");
  });
});

describe("the agent's start", () => {
  test("no bundle file", async () => {
    expect((await runAgent(["-joinToken", "x"])).stdout).toContain(site.bundle);
  });

  test("an unknown token, and a used one", async () => {
    await using pair = await Pair.start();
    await pair.agent.stop();
    rmSync(join(pair.site.folder, "agent"), { recursive: true });
    mkdirSync(join(pair.site.folder, "agent/public"), { recursive: true });
    const used = pair.agentId.split("/").at(-1) ?? "";
    for (const token of ["00000000-0000-4000-8000-000000000000", used]) {
      const outcome = await run(PROGRAMS.agent, ["run", "-config", pair.site.agentConfig, "-joinToken", token]);
      expect([outcome.status, outcome.stdout + outcome.stderr]).toEqual([
        1,
        expect.stringContaining("join token does not exist or has already been used"),
      ]);
    }
  });

  test("the bundle of another server", async () => {
    await using _server = await startServer(site);
    const { token } = await enroll(site);
    using otherFolder = new Folder();
    const other = await makeSite(otherFolder.path);
    await using _other = await startServer(other);
    writeFileSync(site.bundle, await admin(other, ["bundle", "show"]));
    await using agent = new Daemon(
      "agent",
      PROGRAMS.agent,
      ["run", "-config", site.agentConfig, "-joinToken", token],
      join(folder.path, "agent.log"),
    );
    await agent.until("word of the wrong bundle", () =>
      /bundle|authority|trust/i.test(
        agent
          .log()
          .split("\n")
          .filter((line) => /level=(error|warning)/.test(line))
          .join("\n"),
      ),
    );
    expect(existsSync(site.agentSocket)).toBe(false);
  });

  test("a second agent on the same data_dir, and a socket that another one serves", async () => {
    await using pair = await Pair.start();
    const again = await run(PROGRAMS.agent, ["run", "-config", pair.site.agentConfig]);
    expect([again.status, again.stdout + again.stderr]).toEqual([
      1,
      expect.stringContaining("is in use by another holdfast-agent"),
    ]);
    const elsewhere = join(pair.site.folder, "agent2");
    mkdirSync(elsewhere);
    const { token } = await enroll(pair.site);
    const stolen = await run(PROGRAMS.agent, [
      "run",
      "-config",
      pair.site.agentConfig,
      "-dataDir",
      elsewhere,
      "-joinToken",
      token,
    ]);
    expect([stolen.status, stolen.stdout + stolen.stderr]).toEqual([1, expect.stringContaining(pair.site.agentSocket)]);
    expect((await run(PROGRAMS.agent, ["healthcheck", "-socketPath", pair.site.agentSocket])).status).toBe(0);
  });

  test("a socket folder that others may write to", async () => {
    await using _server = await startServer(site);
    const { token } = await enroll(site);
    chmodSync(join(folder.path, "agent/public"), 0o777);
    expect((await runAgent(["-joinToken", token])).stdout).toContain(join(folder.path, "agent/public"));
  });
});

describe("entries", () => {
  let shared: Site;
  let server: Daemon;
  const sharedFolder = new Folder();
  beforeAll(async () => {
    shared = await makeSite(sharedFolder.path);
    server = await startServer(shared);
  });
  afterAll(async () => {
    await server?.stop("SIGKILL");
    sharedFolder[Symbol.dispose]();
  });

  test.each([
    [["-spiffeID", "spiffe://other.test/a"], "is not a member of trust domain"],
    [["-spiffeID", "spiffe://example.org/spire/agent/x"], "reserved"],
    [["-spiffeID", "spiffe://example.org"], "spiffe ID"],
    [["-spiffeID", "spiffe://example.org/a", "-dns", "not a name"], "DNS"],
    [["-spiffeID", "spiffe://example.org/a", "-hint", "x".repeat(1025)], "hint"],
    [["-spiffeID", "spiffe://example.org/a/"], "trailing slash"],
    [["-spiffeID", "spiffe://example.org/a", "-x509SVIDTTL", "-1"], "TTL"],
    [["-spiffeID", "spiffe://example.org/a", "-x509SVIDTTL", "soon"], "whole number"],
    [["-spiffeID", "spiffe://example.org/a", "-x509SVIDTTL", "2147483648"], "at most 2147483647 seconds"],
    [["-spiffeID", "spiffe://example.org/a", "-selector", "nocolon"], "type:value"],
    [["-spiffeID", "spiffe://example.org/a", "-selector", "unix:"], '-selector: "unix:": missing selector value'],
    [["-spiffeID", "spiffe://example.org/a", "-entryID", "a b"], "entry ID"],
    [
      ["-spiffeID", "spiffe://example.org/a", "-federatesWith", "Not A TD"],
      '-federatesWith: invalid trust domain "Not A TD"',
    ],
    [["-spiffeID", "spiffe://example.org/a", "-federatesWith", "other.test"], "unable to find federated bundle"],
  ])("%j is refused", async (args, message) => {
    const outcome = await run(PROGRAMS.server, [
      "entry",
      "create",
      "-socketPath",
      shared.serverSocket,
      "-parentID",
      "spiffe://example.org/node",
      "-selector",
      "unix:uid:1",
      ...args,
    ]);
    expect([outcome.status, outcome.stderr]).toEqual([1, expect.stringContaining(message)]);
    expect(await admin(shared, ["entry", "count"])).toBe("0 registration entries\n");
  });

  test("a duplicate, and an ID that is taken, are AlreadyExists and change nothing", async () => {
    const create = (...args: readonly string[]): Promise<Outcome> => {
      const { serverSocket } = shared;
      const fixed = ["-socketPath", serverSocket, "-parentID", "spiffe://example.org/node", "-selector", "unix:uid:7"];
      return run(PROGRAMS.server, ["entry", "create", ...fixed, ...args]);
    };
    expect((await create("-spiffeID", "spiffe://example.org/a", "-entryID", "one")).status).toBe(0);
    const duplicate = await create("-spiffeID", "spiffe://example.org/a", "-output", "json");
    expect(duplicate.status).toBe(1);
    expect(JSON.parse(duplicate.stdout)).toMatchObject({
      results: [{ status: { code: 6 }, entry: { spiffe_id: { trust_domain: "example.org", path: "/a" } } }],
    });
    const taken = await create("-spiffeID", "spiffe://example.org/b", "-entryID", "one");
    expect([taken.status, taken.stderr]).toEqual([1, expect.stringContaining("code: AlreadyExists")]);
    expect(await admin(shared, ["entry", "show"])).toMatch(/^Found 1 entry\nEntry ID {16}: one\n/);
  });
});

test("a program that is not there, for every command that needs it", async () => {
  for (const [program, ...args] of [
    [PROGRAMS.server, "entry", "show"],
    [PROGRAMS.agent, "api", "fetch"],
  ] as const) {
    const { status, stderr } = await run(program, [...args, "-socketPath", "/nonexistent/api.sock"]);
    expect([status, stderr]).toEqual([1, expect.stringContaining("there is no socket at /nonexistent/api.sock")]);
  }
});
