/** The bundle from a URL: over HTTPS judged by CAs, or over HTTP through a Unix socket. */
import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer as createHttp, type RequestListener, type Server } from "node:http";
import { createServer as createHttps } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Agent } from "undici";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type BootstrapSource, readBootstrapBundle } from "../../src/agent/bootstrap-bundle.ts";
import { type Clock, systemClock } from "../../src/lib/clock.ts";
import { formatBundle } from "../../src/pki/bundle-format.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { TestCa } from "../fakes/test-ca.ts";
import { TD } from "./harness.ts";

const { signal } = new AbortController();
const servers: Server[] = [];
let folder: string;
let tls: { readonly key: Buffer; readonly cert: Buffer };
let https: Agent;
const ca = await TestCa.create(TD);
const pem = formatBundle(ca.bundle(), "pem");

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "bundle-"));
  const [keyPath, certPath] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost";
  const options = ["-addext", "subjectAltName=DNS:localhost", "-keyout", keyPath, "-out", certPath];
  execFileSync("openssl", [...request.split(" "), ...options], { stdio: "ignore" });
  tls = { key: await readFile(keyPath), cert: await readFile(certPath) };
  https = new Agent({ connect: { ca: tls.cert } });
});
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});
afterAll(async () => {
  await https.destroy();
  await rm(folder, { recursive: true });
});

async function read(source: BootstrapSource, given: Agent | null = https, clock: Clock = systemClock) {
  const options = { clock, trustDomain: TD, serverHost: "spire.example.org", serverPort: 8081 };
  return await readBootstrapBundle(
    { ...options, ...(given === null ? {} : { https: given }) },
    source,
    { failures: 3, startedAt: Date.UTC(2026, 0, 2, 3, 4, 5, 678) },
    signal,
  );
}

async function serve(answer: RequestListener): Promise<string> {
  const server = createHttps(tls, answer);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
  return `https://localhost:${(server.address() as AddressInfo).port}/bundle`;
}

const url = (text: string, format: "pem" | "spiffe" = "pem"): BootstrapSource => ({ kind: "url", url: text, format });

describe("https", () => {
  test("gives the bundle, in either format, and tells the server nothing", async () => {
    const seen: string[] = [];
    const where = await serve((request, response) => {
      seen.push(request.url ?? "");
      response.end(seen.length === 1 ? pem : formatBundle(ca.bundle(), "spiffe"));
    });
    const bundle = await read(url(where));
    expect(bundle).toMatchObject({ trustDomain: TD });
    expect(bundle !== "insecure" && bundle.x509Authorities[0]?.certificate).toEqual(ca.certificate);
    expect(await read(url(where, "spiffe"))).toMatchObject({ trustDomain: TD });
    expect(seen).toEqual(["/bundle", "/bundle"]);
  });

  test.each<[string, RequestListener]>([
    ["an error", (_request, response) => response.writeHead(503).end(pem)],
    ["a redirect", (_request, response) => response.writeHead(302, { location: "https://localhost:1/" }).end()],
    ["another success than 200", (_request, response) => response.writeHead(204).end()],
    ["no bundle", (_request, response) => response.end("<html>login</html>")],
    ["a hang-up", (request) => request.socket.destroy()],
    [
      "an endless answer",
      (_request, response) => {
        const more = (): void => {
          while (response.write(Buffer.alloc(65_536, 45)));
        };
        response.on("drain", more);
        more();
      },
    ],
  ])("%s is no bundle, and may be one next time", async (_name, answer) => {
    await expect(read(url(await serve(answer)))).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  test("a server that the host's CAs do not know is refused", async () => {
    let asked = false;
    const where = await serve((_request, response) => {
      asked = true;
      response.end(pem);
    });
    await expect(read(url(where), null)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(asked).toBe(false);
  });

  test("an answer that comes drop by drop is not waited for", async () => {
    const clock = new FakeClock();
    const dripping = Promise.withResolvers<void>();
    const where = await serve((_request, response) => {
      const drops = setInterval(() => response.write("-"), 10);
      response.on("close", () => clearInterval(drops));
      dripping.resolve();
    });
    const outcome = read(url(where), https, clock).catch((error: unknown) => error);
    await dripping.promise;
    await clock.advance(61_000);
    expect(await outcome).toMatchObject({ code: "UNAVAILABLE" });
  });

  test("nothing but https", async () => {
    await expect(read(url("http://localhost/bundle"))).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });
});

describe("through a Unix socket", () => {
  test("asks over http with the query of SPIRE's agents", async () => {
    const unixSocket = join(folder, "bundle.sock");
    const seen: string[] = [];
    const server = createHttp((request, response) => {
      seen.push(`${request.method} ${request.headers.host} ${request.url}`);
      response.end(pem);
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(unixSocket, resolve));
    const source = { kind: "url", url: "http://trust/bundle?x=1", unixSocket, format: "pem" } as const;
    expect(await read(source)).toMatchObject({ trustDomain: TD });
    expect(seen).toHaveLength(1);
    const [method, host, path] = seen[0]!.split(" ");
    expect([method, host]).toEqual(["GET", "trust"]);
    expect(Object.fromEntries(new URL(path!, "http://x").searchParams)).toEqual({
      x: "1",
      "spire-attest-mode": "bootstrap",
      "spire-connection-attempts": "3",
      "spire-attest-start-time": "2026-01-02T03:04:05Z",
      "spire-server-address": "spire.example.org",
      "spire-server-port": "8081",
      "spiffe-trust-domain": TD,
    });
  });

  test("a socket that is not there, or https in its place", async () => {
    const unixSocket = join(folder, "missing.sock");
    const source = { kind: "url", url: "http://trust/", unixSocket, format: "pem" } as const;
    await expect(read(source)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await expect(read({ ...source, url: "https://trust/" })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });
});

test("a file without an end is not read for ever", async () => {
  const source = { kind: "file", path: "/dev/zero", format: "pem" } as const;
  await expect(read(source)).rejects.toMatchObject({ code: "MALFORMED", message: expect.stringContaining("too long") });
});

test("insecure reads nothing", async () => {
  expect(await read({ kind: "insecure" })).toBe("insecure");
});
