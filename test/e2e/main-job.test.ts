/** The main job with the real programs: join, register, fetch, rotate, lose. */
import { X509Certificate } from "node:crypto";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  admin,
  copyOfNode,
  Daemon,
  Folder,
  fetchX509,
  idsOf,
  isDenied,
  NOBODY,
  NODE,
  Pair,
  PROGRAMS,
  run,
  SELF,
} from "./support.ts";

/** Node's own HTTP/2, one call: prints `message`, or the status with which the stream ended. */
const RAW_CLIENT = `
import { connect } from "node:http2";
import { connect as unix } from "node:net";
const session = connect("http://localhost", { createConnection: () => unix(process.argv[2]) });
const call = session.request({ ":method": "POST", ":path": "/SpiffeWorkloadAPI/FetchX509SVID", "content-type": "application/grpc", te: "trailers", "workload.spiffe.io": "true" });
call.end(Buffer.alloc(5));
const end = (text) => { console.log(text); session.destroy(); };
const status = (headers) => { if (headers["grpc-status"] !== undefined) end(headers["grpc-status"] + " " + decodeURIComponent(headers["grpc-message"])); };
call.on("response", status);
call.on("trailers", status);
call.once("data", () => end("message"));
`;

const ID = "spiffe://example.org/web";
let pair: Pair;

beforeAll(async () => {
  pair = await Pair.start();
});
afterAll(async () => {
  await pair?.[Symbol.asyncDispose]();
});

describe("one workload", () => {
  test("has no identity before it is registered", async () => {
    expect(isDenied(await fetchX509(pair.site))).toBe(true);
  });

  test("gets its SVID for its user and path; the same user from another path does not", async () => {
    await pair.withEntry(ID, [`unix:uid:${SELF}`, `unix:path:${NODE}`], [], async () => {
      expect(idsOf(await fetchX509(pair.site))).toEqual([ID]);
      expect(isDenied(await fetchX509(pair.site, { node: copyOfNode(pair.site.folder) }))).toBe(true);
    });
  });

  test("another user is refused", async ({ skip }) => {
    if (SELF !== 0) skip("only root can start a process as another user");
    await pair.withEntry(ID, ["unix:uid:0"], [], async () => {
      // A client that any user can read: the checkout may be root's alone.
      const path = join(pair.site.folder, "as-nobody.mjs");
      writeFileSync(path, RAW_CLIENT);
      const stranger = await run(copyOfNode(pair.site.folder, "node-of-nobody"), [path, pair.site.agentSocket], {
        uid: NOBODY,
      });
      expect(stranger.stdout).toBe("7 no identity issued\n");
      expect((await run(NODE, [path, pair.site.agentSocket])).stdout).toBe("message\n");
    });
  });

  test("-write leaves files that OpenSSL accepts, the key readable by its owner only", async ({ skip }) => {
    if ((await run("openssl", ["version"])).status !== 0) skip("openssl is missing");
    await pair.withEntry(ID, [`unix:uid:${SELF}`], ["-dns", "web.example.org"], async () => {
      using folder = new Folder();
      const file = (name: string): string => join(folder.path, name);
      const written = await fetchX509(pair.site, { args: ["-write", folder.path] });
      expect(written.stdout).toMatch(
        /^Received 1 svid after .*\n\nSPIFFE ID:\t\tspiffe:\/\/example\.org\/web\nSVID Valid After:/,
      );
      expect(statSync(file("svid.0.key")).mode & 0o777).toBe(0o600);
      const verified = await run("openssl", [
        "verify",
        "-x509_strict",
        "-purpose",
        "sslserver",
        "-CAfile",
        file("bundle.0.pem"),
        file("svid.0.pem"),
      ]);
      expect(verified.stdout).toContain("OK");
      const leaf = new X509Certificate(readFileSync(file("svid.0.pem")));
      expect(leaf.subjectAltName).toContain(ID);
      expect(leaf.checkHost("web.example.org")).toBe("web.example.org");
      expect(leaf.subject).toContain("CN=web.example.org");
    });
  });
});

test("an open stream sees a rotation before the expiry, then the end of its identity at once", async () => {
  await pair.withEntry(ID, [`unix:uid:${SELF}`], ["-x509SVIDTTL", "6"], async (entryId) => {
    await using watch = new Daemon(
      "watch",
      PROGRAMS.agent,
      ["api", "watch", "-output", "json", "-socketPath", pair.site.agentSocket],
      join(pair.site.folder, "watch.log"),
    );
    const leaves = (): X509Certificate[] =>
      watch
        .log()
        .split("\n")
        .filter((line) => line.startsWith("{"))
        .map((line) => {
          const [svid] = (JSON.parse(line) as { svids: { x509_svid: string }[] }).svids;
          return new X509Certificate(Buffer.from(svid?.x509_svid ?? "", "base64"));
        });
    await watch.until("rotation", () => leaves().length >= 2);
    const [first, second] = leaves();
    expect(second?.serialNumber).not.toBe(first?.serialNumber);
    expect(second?.validFromDate.getTime()).toBeLessThan(first?.validToDate.getTime() ?? 0);
    await pair.deleteEntry(entryId);
    await watch.until("refusal", () => watch.log().includes("no identity issued"));
  });
});

test("the server lists its agent and its entries", async () => {
  await pair.withEntry(ID, [`unix:uid:${SELF}`], ["-hint", "internal"], async (entryId) => {
    expect(await admin(pair.site, ["agent", "list"])).toContain(pair.agentId);
    expect(await admin(pair.site, ["agent", "count"])).toBe("1 attested agent\n");
    expect(await admin(pair.site, ["entry", "count"])).toBe("1 registration entry\n");
    const shown = await admin(pair.site, ["entry", "show", "-selector", `unix:uid:${SELF}`]);
    expect(shown).toBe(
      `Found 1 entry
Entry ID                : ${entryId}
SPIFFE ID               : ${ID}
Parent ID               : ${pair.agentId}
Revision                : 0
X509-SVID TTL           : default
JWT-SVID TTL            : default
Selector                : unix:uid:${SELF}
Hint                    : internal

`,
    );
    const updated = await admin(pair.site, [
      "entry",
      "update",
      "-entryID",
      entryId,
      "-parentID",
      pair.agentId,
      "-spiffeID",
      ID,
      "-selector",
      `unix:uid:${SELF}`,
      "-x509SVIDTTL",
      "60",
    ]);
    expect(updated).toContain("Revision                : 1\nX509-SVID TTL           : 60\n");
  });
});

test("the seeds' own commands and blocks: -ttl is the X.509-SVID TTL", async () => {
  const create = (more: readonly string[]) =>
    run(PROGRAMS.server, [
      "entry",
      "create",
      "-socketPath",
      pair.site.serverSocket,
      "-parentID",
      pair.agentId,
      "-spiffeID",
      `${ID}/ttl`,
      "-selector",
      "unix:uid:1001",
      "-selector",
      "unix:path:/opt/leo/bin/server",
      "-ttl",
      "3600",
      ...more,
    ]);
  const both = await create(["-x509SVIDTTL", "60"]);
  expect([both.status, both.stderr]).toEqual([1, expect.stringContaining("-ttl cannot be given beside")]);
  const created = await create([]);
  expect(created.stderr).toContain("-ttl is deprecated");
  expect(created.stdout).toContain("X509-SVID TTL           : 3600\n");
});

test("an x509 mint needs no entry", async () => {
  const printed = await admin(pair.site, ["x509", "mint", "-spiffeID", "spiffe://example.org/minted", "-ttl", "1m"]);
  expect(printed).toMatch(
    /^X509-SVID:\n-----BEGIN CERTIFICATE-----[\s\S]*\nPrivate key:\n-----BEGIN PRIVATE KEY-----[\s\S]*\nRoot CAs:\n-----BEGIN CERTIFICATE-----/,
  );
  const leaf = new X509Certificate(printed);
  expect(leaf.subjectAltName).toContain("spiffe://example.org/minted");
  expect(leaf.validToDate.getTime() - leaf.validFromDate.getTime()).toBe(70_000);
});

test("a minted key is its owner's, whatever was there; a lifetime beyond the CA's is capped and said so", async () => {
  using folder = new Folder();
  const key = join(folder.path, "key.pem");
  writeFileSync(key, "", { mode: 0o644 });
  const args = ["-socketPath", pair.site.serverSocket, "-spiffeID", ID, "-ttl", "1000h", "-write", folder.path];
  const { status, stderr } = await run(PROGRAMS.server, ["x509", "mint", ...args]);
  expect([status, stderr]).toEqual([
    0,
    expect.stringMatching(/^X509-SVID lifetime was capped .*; expires "\d{4}-.*Z"\n$/),
  ]);
  expect(statSync(key).mode & 0o777).toBe(0o600);
  expect(readFileSync(key, "utf8")).toMatch(/^-----BEGIN PRIVATE KEY-----/);
});

test("both programs are healthy, and say when they are not", async () => {
  expect((await run(PROGRAMS.server, ["healthcheck", "-socketPath", pair.site.serverSocket])).stdout).toBe(
    "Server is healthy.\n",
  );
  expect((await run(PROGRAMS.agent, ["healthcheck", "-socketPath", pair.site.agentSocket])).stdout).toBe(
    "Agent is healthy.\n",
  );
  const nobody = await run(PROGRAMS.agent, ["healthcheck", "-socketPath", "/nonexistent/api.sock"]);
  expect([nobody.status, nobody.stderr]).toEqual([
    1,
    "Agent is unhealthy: unable to determine health\nRun it with -verbose to see why.\n",
  ]);
});
