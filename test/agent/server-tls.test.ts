/** Whom the agent takes for its server: chains as OpenSSL and our own validator see them, and peers that do not play along. */
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { ServerClient } from "../../src/agent/server-client.ts";
import { ServerTlsCredentials } from "../../src/agent/server-tls.ts";
import { describeTlsFailure } from "../../src/agent/server-tls-errors.ts";
import { type Clock, systemClock } from "../../src/lib/clock.ts";
import { AgentError, errorText } from "../../src/lib/errors.ts";
import { silentLogger } from "../../src/lib/log.ts";
import type { TrustBundle } from "../../src/spiffe/bundle.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { FakeSpireServer } from "../fakes/spire-server.ts";
import { bundleOf, HOUR, TestCa } from "../fakes/test-ca.ts";
import { TD, until } from "./harness.ts";

const { signal } = new AbortController();
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

function clientOf(port: number, trust: () => TrustBundle | "insecure", clock: Clock = systemClock): ServerClient {
  const authorities = () => {
    const bundle = trust();
    return bundle === "insecure" ? bundle : bundle.x509Authorities.map(({ certificate }) => certificate);
  };
  const source = { trustDomain: TD, authorities, identity: undefined };
  const credentials = new ServerTlsCredentials({ clock, source, requirePqKem: false });
  const common = { clock, log: silentLogger, trustDomain: TD, version: "test", balancing: "pick-first" } as const;
  const client = new ServerClient({ ...common, host: "127.0.0.1", port, credentials });
  closing.push(() => client.close());
  return client;
}

async function serverOf(ca: TestCa): Promise<FakeSpireServer> {
  const server = await FakeSpireServer.start({ trustDomain: TD, ca });
  closing.push(() => server.stop());
  return server;
}

/** A TCP server with a will of its own. */
async function tcp(onConnection: (socket: Socket) => void): Promise<number> {
  const server: Server = createServer((socket) => {
    socket.on("error", () => {});
    closing.push(() => socket.destroy());
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

describe("chains", () => {
  test.each([
    ["root in the bundle, intermediate in the chain", async (root: TestCa) => root.bundle()],
    ["the intermediate itself in the bundle", async (_root: TestCa, below: TestCa) => below.bundle()],
    [
      "one of several authorities",
      async (root: TestCa) => bundleOf(TD, [{ ca: await TestCa.create(TD) }, { ca: root, tainted: true }]),
    ],
  ] as const)("%s is trusted", async (_name, trust) => {
    const root = await TestCa.create(TD);
    const below = await root.subordinate();
    const server = await serverOf(below);
    const bundle = await trust(root, below);
    expect((await clientOf(server.port, () => bundle).getBundle(signal)).trustDomain).toBe(TD);
  });

  test("a bundle that changes is asked for at the next connection", async () => {
    const server = await serverOf(await TestCa.create(TD));
    let bundle = (await TestCa.create(TD)).bundle();
    await expect(clientOf(server.port, () => bundle).getBundle(signal)).rejects.toMatchObject({ code: "UNTRUSTED" });
    bundle = server.state.bundle;
    await expect(clientOf(server.port, () => bundle).getBundle(signal)).resolves.toBeDefined();
  });

  test("an empty bundle trusts nobody, least of all the public web's CAs (BDL-10)", async () => {
    const server = await serverOf(await TestCa.create(TD));
    const empty = { ...server.state.bundle, x509Authorities: [] };
    await expect(clientOf(server.port, () => empty).getBundle(signal)).rejects.toMatchObject({ code: "UNTRUSTED" });
  });

  test("our own validator has a say beside OpenSSL: it asks our clock", async () => {
    const server = await serverOf(await TestCa.create(TD));
    const clock = new FakeClock(Date.now() + 2 * HOUR);
    const client = clientOf(server.port, () => server.state.bundle, clock);
    await expect(client.getBundle(signal)).rejects.toMatchObject({ code: "UNTRUSTED" });
  });
});

describe("peers that do not play along", () => {
  const trust = (await_: TestCa) => () => await_.bundle();
  const text = async (work: Promise<unknown>): Promise<string> =>
    errorText(await work.then(() => undefined).catch((error: unknown) => error));

  test("nobody listens", async () => {
    const ca = await TestCa.create(TD);
    const port = await tcp(() => {});
    for (const close of closing.splice(0)) await close();
    await expect(clientOf(port, trust(ca)).getBundle(signal)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  test("one that hangs up", async () => {
    const ca = await TestCa.create(TD);
    const port = await tcp((socket) => socket.end());
    await expect(clientOf(port, trust(ca)).getBundle(signal)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  test("one that speaks something else", async () => {
    const ca = await TestCa.create(TD);
    const port = await tcp((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
    await expect(clientOf(port, trust(ca)).getBundle(signal)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  test("one that accepts and says nothing is given up", async () => {
    const ca = await TestCa.create(TD);
    let connected = false;
    const port = await tcp(() => {
      connected = true;
    });
    const clock = new FakeClock(Date.now());
    const call = text(clientOf(port, trust(ca), clock).getBundle(signal));
    await until(() => connected);
    await clock.advance(20_000);
    expect(await call).toContain("did not answer the TLS handshake");
  });
});

describe("describeTlsFailure", () => {
  const failure = (code: string): AgentError => describeTlsFailure(Object.assign(new Error("x"), { code }), TD);
  test.each([
    ["SELF_SIGNED_CERT_IN_CHAIN", "UNTRUSTED", "trust bundle of example.org"],
    ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "UNTRUSTED", "trust bundle of example.org"],
    ["CERT_HAS_EXPIRED", "UNAVAILABLE", "check both clocks"],
    ["CERT_NOT_YET_VALID", "UNAVAILABLE", "check both clocks"],
    ["ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION", "UNTRUSTED", "TLS 1.3"],
    ["ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE", "UNAVAILABLE", "refusing our certificate"],
    ["ECONNRESET", "UNAVAILABLE", "failed"],
  ])("%s is %s", (code, expected, words) => {
    expect(failure(code).code).toBe(expected);
    expect(failure(code).message).toContain(words);
  });

  test("keeps what is explained already", () => {
    const known = new AgentError("UNTRUSTED", "known");
    expect(describeTlsFailure(known, TD)).toBe(known);
  });
});
