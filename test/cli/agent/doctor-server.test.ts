/** What `doctor` decides about the bundle and the server. */
import { createServer, type Server } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { afterEach, describe, expect, test } from "vitest";
import {
  type BundleFacts,
  type BundleFound,
  configuredBundle,
  foundAuthorities,
  judgeBundle,
} from "../../../src/cli/agent/doctor/bundle.ts";
import { judgeServer, shownLifetime } from "../../../src/cli/agent/doctor/server.ts";
import { lookAtServer, type ServerLook } from "../../../src/cli/agent/doctor/server-look.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { pemEncode } from "../../../src/pki/pem.ts";
import { parseSpiffeId, parseTrustDomain, serverId } from "../../../src/spiffe/id.ts";
import { HOUR, TestCa } from "../../fakes/test-ca.ts";

const NOW = Math.floor(Date.now() / 1000) * 1000;
const TD = parseTrustDomain("example.org");
const ca = await TestCa.create(TD, NOW);
const other = await TestCa.create(TD, NOW);
const svid = await ca.svid(serverId(TD));

const config = { serverAddress: "server.example.org", serverPort: 8081, trustDomain: TD, requirePqKem: false };
const good = foundAuthorities([ca.certificate]);
const bad = foundAuthorities([other.certificate]);
const REFUSED = "the server's certificate does not chain";

function bundles(configured: BundleFacts["configured"], stored?: BundleFound, now = NOW): BundleFacts {
  return { now, stored, configured, where: "/etc/bundle.pem" };
}

function seen(chain: readonly Uint8Array[] = svid.chain, refusal?: string, protocol = "TLSv1.3"): ServerLook {
  return { step: "tls", address: "192.0.2.1", refusal, seen: { protocol, chain } };
}

describe("bundle", () => {
  test.each<[string, BundleFacts, string, string]>([
    ["configured", bundles(good), "ok", "/etc/bundle.pem: 1 authority, the next expires"],
    ["stored", bundles(bad, good), "ok", "the stored bundle"],
    ["broken file", bundles({ kind: "error", text: "ENOENT" }), "fail", "/etc/bundle.pem cannot be used: ENOENT"],
    ["broken file behind a stored one", bundles({ kind: "error", text: "ENOENT" }, good), "warn", "only a first start"],
    ["insecure", bundles("insecure"), "warn", "insecure_bootstrap"],
    ["insecure, later", bundles("insecure", good), "ok", "the stored bundle"],
    ["expired", bundles(good, undefined, NOW + 40 * 24 * HOUR), "fail", "the last expired"],
    ["not yet valid", bundles(good, undefined, NOW - 40 * 24 * HOUR), "fail", "none valid yet"],
    ["stored and expired", bundles(good, bad, NOW + 40 * 24 * HOUR), "fail", "the stored bundle"],
  ])("%s", (_what, facts, status, found) => {
    const verdict = judgeBundle(facts);
    expect(verdict.status).toBe(status);
    expect(verdict.found).toContain(found);
  });

  test("one of two has expired", () => {
    const lives = [
      { notBefore: 0, notAfter: NOW - HOUR },
      { notBefore: 0, notAfter: NOW + HOUR },
    ];
    const verdict = judgeBundle(bundles({ kind: "authorities", authorities: [], lives }));
    expect(verdict).toMatchObject({ status: "ok", details: { authorities: 2, expired: 1 } });
    expect(verdict.found).toContain("2 authorities, 1 of them expired, the next expires");
  });

  test("a file that is not there", async () => {
    const bootstrap = { kind: "file", path: "/nosuch/bundle.pem", format: "pem" } as const;
    const found = await configuredBundle({ ...config, bootstrap }, systemClock, new AbortController().signal);
    expect(found).toEqual({ kind: "error", text: "ENOENT" });
  });

  test("a URL where nobody answers, or not in time", async () => {
    const bootstrap = { kind: "url", url: "https://127.0.0.1:1/bundle", format: "pem" } as const;
    const found = await configuredBundle({ ...config, bootstrap }, systemClock, new AbortController().signal);
    expect(found).toEqual({ kind: "error", text: "ECONNREFUSED" });
    const late = await configuredBundle({ ...config, bootstrap }, systemClock, AbortSignal.abort());
    expect(late).toEqual({ kind: "error", text: "it did not come in time" });
  });
});

describe("server", async () => {
  const web = await ca.svid(parseSpiffeId("spiffe://example.org/web"));
  const foreign = await (await TestCa.create(parseTrustDomain("other.org"))).svid(
    serverId(parseTrustDomain("other.org")),
  );
  const old = await ca.svid(serverId(TD), { notBefore: NOW - 3 * HOUR, notAfter: NOW - HOUR });

  test.each<[string, ServerLook, BundleFacts, string, string, string]>([
    ["well", seen(), bundles(good), "ok", "verified by the configured bundle", ""],
    ["well, later", seen(), bundles(bad, good), "ok", "verified by the stored bundle", ""],
    ["insecure", seen(), bundles("insecure"), "warn", "unverified", "see bundle"],
    ["no bundle", seen(), bundles({ kind: "error", text: "" }), "warn", "for lack of a bundle", "see bundle"],
    ["no name", { step: "name", errno: "ENOTFOUND" }, bundles(good), "fail", "no address: ENOTFOUND", "server_address"],
    ["no name service", { step: "name", errno: "EAI_AGAIN" }, bundles(good), "fail", "EAI_AGAIN", "resolv.conf"],
    [
      "down",
      { step: "tcp", addresses: ["192.0.2.1"], errno: "ECONNREFUSED" },
      bundles(good),
      "fail",
      "(192.0.2.1): ECONNREFUSED",
      "start the server",
    ],
    [
      "firewall",
      { step: "tcp", addresses: ["192.0.2.1"], errno: "timeout" },
      bundles(good),
      "fail",
      "timeout",
      "firewall",
    ],
    [
      "no route",
      { step: "tcp", addresses: [], errno: "EHOSTUNREACH" },
      bundles(good),
      "fail",
      "EHOSTUNREACH",
      "routes",
    ],
    [
      "no TLS",
      { step: "tls", address: "192.0.2.1", refusal: "", seen: { errno: "ERR_SSL_WRONG_VERSION_NUMBER" } },
      bundles(good),
      "fail",
      "handshake fails",
      "does not speak TLS",
    ],
    ["old TLS", seen(svid.chain, "no", "TLSv1.2"), bundles(good), "fail", "speaks TLSv1.2 at most", "load balancer"],
    ["other ID", seen(web.chain, "no"), bundles(good), "fail", "is spiffe://example.org/web, not", "server_port"],
    [
      "other trust domain",
      seen(foreign.chain, "no"),
      bundles(good),
      "fail",
      "is spiffe://other.org/spire/server, not",
      "trust_domain",
    ],
    ["expired", seen(old.chain, "no"), bundles(good), "fail", "validity ended", "clocks"],
    [
      "other bundle",
      seen(svid.chain, REFUSED),
      bundles(bad),
      "fail",
      "not vouched for by /etc/bundle.pem",
      "bundle show",
    ],
    [
      "other stored bundle",
      seen(svid.chain, REFUSED),
      bundles(bad, bad),
      "fail",
      "not vouched for by the stored bundle",
      "not your server",
    ],
    [
      "set up anew",
      seen(svid.chain, REFUSED),
      bundles(good, bad),
      "fail",
      "not vouched for by the stored bundle",
      "the configured bundle knows it",
    ],
    [
      "refused for something else",
      seen(svid.chain, "no common group"),
      bundles(good),
      "fail",
      "no common group",
      "server's log",
    ],
    ["no certificate", seen([], "no"), bundles(good), "fail", "no certificate", ""],
  ])("%s", (_what, look, facts, status, found, advice) => {
    const verdict = judgeServer({ config, bundles: facts, look, now: NOW });
    expect(verdict.status).toBe(status);
    expect(verdict.found).toContain(found);
    expect(verdict.advice ?? "").toContain(advice);
  });

  test("the clock is told when the certificate is valid", () => {
    expect(shownLifetime(seen(old.chain, "no"))).toMatchObject({ notAfter: NOW - HOUR });
    expect(shownLifetime({ step: "name", errno: "ENOTFOUND" })).toBeUndefined();
  });
});

describe("looking at a server", () => {
  const servers: Server[] = [];
  afterEach(() => servers.splice(0).forEach((server) => void server.close()));

  async function listening(server: Server): Promise<number> {
    servers.push(server);
    await new Promise<void>((done) => void server.listen(0, "127.0.0.1", done));
    return (server.address() as { port: number }).port;
  }

  function look(serverPort: number, timeoutMs = 5_000): Promise<ServerLook> {
    const target = { serverAddress: "127.0.0.1", serverPort, trustDomain: TD, requirePqKem: false };
    return lookAtServer({ ...target, trust: [ca.certificate] }, systemClock, AbortSignal.timeout(timeoutMs));
  }

  function tlsServer(maxVersion: "TLSv1.2" | "TLSv1.3"): Server {
    const key = svid.privateKey.export({ format: "pem", type: "pkcs8" });
    const cert = svid.chain.map((der) => pemEncode("CERTIFICATE", der)).join("");
    const server = createTlsServer({ key, cert, maxVersion, ALPNProtocols: ["h2"] });
    return server.on("tlsClientError", () => {});
  }

  test("that is ours", async () => {
    expect(await look(await listening(tlsServer("TLSv1.3")))).toMatchObject({
      step: "tls",
      address: "127.0.0.1",
      refusal: undefined,
      seen: { protocol: "TLSv1.3" },
    });
  });

  test("that speaks an old version", async () => {
    const found = await look(await listening(tlsServer("TLSv1.2")));
    expect(found).toMatchObject({ step: "tls", refusal: expect.any(String), seen: { protocol: "TLSv1.2" } });
  });

  test("that takes the connection and says nothing", async () => {
    const port = await listening(createServer((socket) => void socket.on("error", () => {})));
    expect(await look(port, 200)).toMatchObject({ step: "tls", seen: { errno: "timeout" } });
  });

  test("that is not there", async () => {
    const server = createServer();
    const port = await listening(server);
    await new Promise((done) => void server.close(done));
    servers.length = 0;
    expect(await look(port)).toEqual({ step: "tcp", addresses: ["127.0.0.1"], errno: "ECONNREFUSED" });
  });
});
