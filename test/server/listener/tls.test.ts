import { once } from "node:events";
import http2 from "node:http2";
import { connect as connectTcp, createServer as createNetServer } from "node:net";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { describe, expect, test } from "vitest";
import { HealthService } from "../../../src/gen/grpc/health/v1/health.ts";
import { AgentService } from "../../../src/gen/spire/api/server/agent/v1/agent.ts";
import { BundleService } from "../../../src/gen/spire/api/server/bundle/v1/bundle.ts";
import { GrpcCode } from "../../../src/lib/grpc-status.ts";
import { systemRandom } from "../../../src/lib/random.ts";
import { WatchableValue } from "../../../src/lib/watchable.ts";
import { parseCertificate } from "../../../src/pki/certificate.ts";
import { type IssuingCa, issueCa, issueX509Svid, randomSerial, selfSignCa } from "../../../src/pki/issue.ts";
import { generateKey, spkiOf } from "../../../src/pki/keys.ts";
import { signerFor } from "../../../src/pki/signer.ts";
import { TlsListener } from "../../../src/server/listener/tls.ts";
import { parseSpiffeId, parseTrustDomain, type SpiffeId, type TrustDomain } from "../../../src/spiffe/id.ts";
import type { X509Svid } from "../../../src/spiffe/svid.ts";
import { bundle, entry, id, TD } from "../../fakes/entries.ts";
import { FakeClock } from "../../fakes/fake-clock.ts";
import {
  call,
  failure,
  identity,
  mintSvid,
  newAgent,
  recordingLogger,
  startServer,
  type TestServer,
} from "../harness.ts";

const WHOLE = { outputMask: undefined };
const STATUS = { currentBundleSerial: 0n, agentVersion: "" };
const COUNT = { filter: undefined };

/** Shakes hands; resolves with the socket, or with how it failed. */
function handshake(server: { readonly port: number }, options: ConnectionOptions = {}): Promise<TLSSocket | string> {
  return new Promise((resolve) => {
    const socket = connect({
      host: "127.0.0.1",
      port: server.port,
      rejectUnauthorized: false,
      ALPNProtocols: ["h2"],
      ...options,
    });
    socket.once("secureConnect", () => resolve(socket));
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}

/** What the server does with a connection after the handshake: it sends its HTTP/2 settings, or closes. */
async function outcome(server: TestServer, options: ConnectionOptions): Promise<"served" | "closed"> {
  const socket = await handshake(server, options);
  if (typeof socket === "string") return "closed";
  return await new Promise((resolve) => {
    socket.once("data", () => resolve("served"));
    socket.once("close", () => resolve("closed"));
    socket.on("error", () => {});
  }).then((what) => {
    socket.destroy();
    return what as "served" | "closed";
  });
}

/** An SVID signed by the server's CA with whatever a test wants to be wrong. */
async function svidWith(
  server: TestServer,
  change: { readonly spiffeId?: SpiffeId; readonly notBefore?: number; readonly notAfter?: number },
): Promise<X509Svid> {
  const ca = server.ca.x509.active.value?.ca;
  if (ca === undefined) throw new Error("no CA");
  const now = server.clock.now();
  const privateKey = await generateKey("ec-p256");
  const { spiffeId = id("/workload"), notBefore = now - 60_000, notAfter = now + 3_600_000 } = change;
  const leaf = { spiffeId, notBefore, notAfter, spki: spkiOf(privateKey), serial: randomSerial(systemRandom) };
  return { spiffeId, notBefore, notAfter, privateKey, chain: [await issueX509Svid(ca, leaf)] };
}

/** A CA of a trust domain; self-signed, or below another. */
async function makeCa(trustDomain: TrustDomain, above?: IssuingCa): Promise<IssuingCa> {
  const signer = signerFor(await generateKey("ec-p256"));
  const now = Date.now();
  const terms = { notBefore: now - 60_000, notAfter: now + 3_600_000, serial: randomSerial(systemRandom), trustDomain };
  const subject = { country: ["US"], organization: ["SPIFFE"], commonName: Buffer.from(terms.serial).toString("hex") };
  const certificate =
    above === undefined
      ? await selfSignCa({ ...terms, signer, subject })
      : await issueCa(above, { ...terms, spki: signer.publicKeySpki, subject });
  const chain = above === undefined ? [] : [certificate, ...above.chain];
  return { certificate, chain, notAfter: terms.notAfter, signer };
}

/** An SVID under a CA of the test's own. */
async function signedBy(ca: IssuingCa, spiffeId: SpiffeId): Promise<X509Svid> {
  const privateKey = await generateKey("ec-p256");
  const terms = { notBefore: Date.now() - 60_000, notAfter: ca.notAfter, serial: randomSerial(systemRandom) };
  const leaf = await issueX509Svid(ca, { ...terms, spiffeId, spki: spkiOf(privateKey) });
  return { ...terms, spiffeId, privateKey, chain: [leaf, ...ca.chain] };
}

/** Makes a CA the only authority of its trust domain. */
async function trust(server: TestServer, { certificate }: IssuingCa): Promise<void> {
  const [uri = ""] = parseCertificate(certificate).uriSans;
  await server.store.bundles.set({
    ...bundle(parseTrustDomain(uri)),
    x509Authorities: [{ certificate, tainted: false }],
  });
}

/** A CA below the server's own, which is trusted to sign and not to speak. */
async function subordinate(server: TestServer): Promise<ConnectionOptions> {
  const above = server.ca.x509.active.value?.ca;
  if (above === undefined) throw new Error("no CA");
  const privateKey = await generateKey("ec-p256");
  const terms = { notBefore: Date.now() - 60_000, notAfter: above.notAfter, serial: randomSerial(systemRandom) };
  const subject = { country: ["US"], organization: ["SPIRE"], commonName: "" };
  const certificate = await issueCa(above, { ...terms, spki: spkiOf(privateKey), trustDomain: TD, subject });
  return identity({ ...terms, spiffeId: id(""), privateKey, chain: [certificate] });
}

/** A certificate that vouches for itself. */
async function selfSigned(): Promise<ConnectionOptions> {
  const privateKey = await generateKey("ec-p256");
  const terms = { notBefore: Date.now() - 60_000, notAfter: Date.now() + 60_000, serial: randomSerial(systemRandom) };
  const subject = { country: ["US"], organization: ["SPIRE"], commonName: "" };
  const certificate = await selfSignCa({ ...terms, signer: signerFor(privateKey), trustDomain: TD, subject });
  return identity({ ...terms, spiffeId: id(""), privateKey, chain: [certificate] });
}

describe("the handshake", () => {
  test("is TLS 1.3 with HTTP/2, a hybrid key exchange first, and the server's SVID", async () => {
    const server = await startServer();
    const socket = (await handshake(server, { ca: await server.bundle() })) as TLSSocket;
    expect(socket.getProtocol()).toBe("TLSv1.3");
    expect(socket.alpnProtocol).toBe("h2");
    expect(socket.getEphemeralKeyInfo()).toMatchObject({ name: "X25519MLKEM768" });
    expect(socket.authorizationError).toContain("ERR_TLS_CERT_ALTNAME_INVALID");
    expect(socket.getPeerX509Certificate()?.subjectAltName).toBe("URI:spiffe://example.org/spire/server");
    socket.destroy();
  });

  test("is refused to TLS 1.2, before and after each rotation of the server's SVID", async () => {
    const server = await startServer();
    const old = { maxVersion: "TLSv1.2", minVersion: "TLSv1.2" } as const;
    expect(await handshake(server, old)).toBe("ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION");
    const serials = new Set<string | undefined>();
    for (let rotation = 0; rotation < 3; rotation++) {
      const socket = (await handshake(server)) as TLSSocket;
      serials.add(socket.getPeerX509Certificate()?.serialNumber);
      socket.destroy();
      await server.renewOwnSvid();
      expect(await handshake(server, old)).toBe("ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION");
    }
    expect(serials.size).toBe(3);
  });

  test("takes classical curves unless a post-quantum exchange is required", async () => {
    const lenient = await startServer();
    const strict = await startServer({ options: { requirePqKem: true } });
    for (const ecdhCurve of ["X25519", "P-256"]) {
      const socket = await handshake(lenient, { ecdhCurve });
      expect(typeof socket).toBe("object");
      (socket as TLSSocket).destroy();
      expect(typeof (await handshake(strict, { ecdhCurve }))).toBe("string");
    }
    for (const ecdhCurve of ["X25519MLKEM768", "SecP256r1MLKEM768"]) {
      const socket = await handshake(strict, { ecdhCurve });
      expect(typeof socket).toBe("object");
      (socket as TLSSocket).destroy();
    }
    await strict.renewOwnSvid();
    expect(typeof (await handshake(strict, { ecdhCurve: "X25519" }))).toBe("string");
  });

  test("is never resumed", async () => {
    const server = await startServer();
    const { svid } = await newAgent(server);
    for (const options of [{}, identity(svid)]) {
      let session: Buffer | undefined;
      const first = (await handshake(server, options)) as TLSSocket;
      first.on("session", (bytes: Buffer) => {
        session = bytes;
      });
      await new Promise((resolve) => first.once("data", resolve));
      const asked = first.getSession();
      first.destroy();
      for (const offered of [session, asked]) {
        if (offered === undefined) continue;
        const second = (await handshake(server, { ...options, session: offered })) as TLSSocket;
        expect(second.isSessionReused()).toBe(false);
        second.destroy();
      }
    }
  });

  test("without HTTP/2 leads nowhere", async () => {
    const server = await startServer();
    expect(await outcome(server, { ALPNProtocols: [] })).toBe("closed");
    expect(typeof (await handshake(server, { ALPNProtocols: ["http/1.1"] }))).toBe("string");
    expect(await outcome(server, { ALPNProtocols: ["h2"] })).toBe("served");
  });
});

describe("a client", () => {
  test("without a certificate may call what anybody may, and nothing else", async () => {
    const server = await startServer();
    const client = await server.connect();
    expect((await call(client, BundleService.getBundle, WHOLE)).trustDomain).toBe("example.org");
    const denied = { code: GrpcCode.PERMISSION_DENIED, reason: undefined };
    expect(await failure(call(client, AgentService.postStatus, STATUS))).toMatchObject(denied);
    expect(await failure(call(client, AgentService.countAgents, COUNT))).toMatchObject(denied);
    expect(await failure(call(client, BundleService.countBundles, {}))).toMatchObject(denied);
  });

  test("does not even see the services of the admin socket", async () => {
    const server = await startServer();
    const client = await server.connect();
    expect((await failure(call(client, HealthService.check, { service: "" }))).code).toBe(GrpcCode.UNIMPLEMENTED);
  });

  test("with an agent's SVID is that agent", async () => {
    const server = await startServer();
    const { client } = await newAgent(server);
    await call(client, AgentService.postStatus, STATUS);
  });

  test("with a workload's SVID is let in, and may do what an entry says", async () => {
    const server = await startServer();
    const client = await server.connect(await mintSvid(server, id("/admin")));
    expect((await failure(call(client, AgentService.countAgents, COUNT))).code).toBe(GrpcCode.PERMISSION_DENIED);
    expect(await failure(call(client, AgentService.postStatus, STATUS))).toMatchObject({
      reason: "AGENT_NOT_ATTESTED",
    });
    await server.store.entries.create(entry("e", { spiffeId: id("/admin"), admin: true }));
    expect(await call(client, AgentService.countAgents, COUNT)).toEqual({ count: 0 });
    await server.store.entries.delete("e");
    expect((await failure(call(client, AgentService.countAgents, COUNT))).code).toBe(GrpcCode.PERMISSION_DENIED);
  });

  test("with a certificate that does not hold is cut off (X509-10, X509-21, X509-22)", async () => {
    const server = await startServer();
    const other = await startServer();
    const now = server.clock.now();
    const served = await mintSvid(server, id("/workload"));
    expect(await outcome(server, identity(served))).toBe("served");

    const cases: Record<string, ConnectionOptions> = {
      "signed by another CA of the same name": identity(await mintSvid(other, id("/workload"))),
      expired: identity(await svidWith(server, { notBefore: now - 120_000, notAfter: now - 60_000 })),
      "not valid yet": identity(await svidWith(server, { notBefore: now + 60_000 })),
      "of another trust domain": identity(await svidWith(server, { spiffeId: parseSpiffeId("spiffe://other.org/x") })),
      "self-signed": await selfSigned(),
      "a signing certificate": await subordinate(server),
    };
    for (const [what, options] of Object.entries(cases)) {
      expect({ what, outcome: await outcome(server, options) }).toEqual({ what, outcome: "closed" });
    }
    const reasons = server.lines.filter(({ message }) => message === "Connection refused");
    expect(reasons).toHaveLength(Object.keys(cases).length);
    expect(await outcome(server, identity(served))).toBe("served");
  });

  test("of another trust domain is let in only as a configured administrator, with that domain's bundle (BDL-01, FED-06)", async () => {
    const operator = parseSpiffeId("spiffe://other.org/operator");
    const server = await startServer({ options: { adminIds: [operator] } });
    const ca = await makeCa(parseTrustDomain("other.org"));
    const svid = await signedBy(ca, operator);
    expect(await outcome(server, identity(svid))).toBe("closed");
    await trust(server, ca);
    const client = await server.connect(svid);
    expect(await call(client, AgentService.countAgents, COUNT)).toEqual({ count: 0 });
    expect(await outcome(server, identity(await signedBy(ca, parseSpiffeId("spiffe://other.org/other"))))).toBe(
      "closed",
    );
    // Its authority is none for our own trust domain.
    expect(await outcome(server, identity(await signedBy(ca, id("/workload"))))).toBe("closed");
  });

  test("of another trust domain is judged by that domain's bundle of now, also if it was deleted and made anew", async () => {
    const operator = parseSpiffeId("spiffe://other.org/operator");
    const server = await startServer({ options: { adminIds: [operator] } });
    const other = parseTrustDomain("other.org");
    const [compromised, fresh] = [await makeCa(other), await makeCa(other)];
    await trust(server, compromised);
    expect(await outcome(server, identity(await signedBy(compromised, operator)))).toBe("served");
    await server.store.bundles.delete(other, "restrict");
    await trust(server, fresh);
    expect(await outcome(server, identity(await signedBy(compromised, operator)))).toBe("closed");
    expect(await outcome(server, identity(await signedBy(fresh, operator)))).toBe("served");
  });

  test("may show intermediates, of which the stored bundle has the root, or the nearest one", async () => {
    const server = await startServer();
    const root = await makeCa(TD);
    const [upper, lower] = [await makeCa(TD, root), await makeCa(TD, root)];
    const below = await makeCa(TD, upper);
    const svid = await signedBy(below, id("/workload"));
    expect(svid.chain).toHaveLength(3);
    expect(await outcome(server, identity(svid))).toBe("closed");
    for (const [anchor, expected] of [
      [root, "served"],
      [upper, "served"],
      [below, "served"],
      [lower, "closed"],
    ] as const) {
      await trust(server, anchor);
      expect(await outcome(server, identity(svid))).toBe(expected);
    }
    await trust(server, root);
    const incomplete = { ...svid, chain: svid.chain.slice(0, 1) };
    expect(await outcome(server, identity(incomplete))).toBe("closed");
  });

  test("is judged by the bundle as it is stored now", async () => {
    const server = await startServer();
    const svid = await mintSvid(server, id("/workload"));
    expect(await outcome(server, identity(svid))).toBe("served");
    await server.store.bundles.set({ ...bundle(TD), x509Authorities: [] });
    expect(await outcome(server, identity(svid))).toBe("closed");
  });

  test("whose certificate expires during the connection is told so", async () => {
    const server = await startServer();
    const { client } = await newAgent(server);
    await call(client, AgentService.postStatus, STATUS);
    server.clock.setWall(server.clock.now() + 25 * 3_600_000);
    expect(await failure(call(client, AgentService.postStatus, STATUS))).toMatchObject({ reason: "AGENT_EXPIRED" });
  });
});

describe("the listener", () => {
  test("names the address that another process uses", async () => {
    const taken = createNetServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const { port } = taken.address() as { port: number };
    await expect(startServer({ options: { bindPort: port } })).rejects.toMatchObject({
      code: "IN_USE",
      message: `cannot listen on 127.0.0.1:${port}: another process is using this address`,
    });
    taken.close();
  });

  test("says that an address is not ours", async () => {
    await expect(startServer({ options: { bindAddress: "192.0.2.1" } })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: "cannot listen on 192.0.2.1:0: EADDRNOTAVAIL",
    });
  });

  test("gives up on handshakes that take too long and on too many strangers", async () => {
    const server = await startServer();
    const seen: string[] = [];
    const listener = new TlsListener(
      {
        clock: new FakeClock(),
        log: recordingLogger([]),
        svid: server.ownSvid,
        verifier: { verify: async () => ({ spiffeId: id("/x"), serial: "1", notAfter: 0 }) },
        onConnection: (_socket, caller) => void seen.push(caller.svid === undefined ? "stranger" : "known"),
      },
      {
        address: "127.0.0.1",
        port: 0,
        requirePqKem: false,
        handshakeTimeoutMs: 200,
        limits: { tls: 10, unidentified: 2, perId: 10 },
      },
    );
    const controller = new AbortController();
    const running = listener.run(controller.signal);
    const { port } = await listener.listening;

    // Says nothing.
    const silent = connectTcp(port, "127.0.0.1");
    await new Promise((resolve) => silent.once("close", resolve));
    const until = async (condition: () => boolean): Promise<void> => {
      while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
    };
    const untilGone = (): Promise<void> => until(() => listener.unidentified === 0);
    await untilGone();

    const known = (await handshake({ port }, identity(await mintSvid(server, id("/x"))))) as TLSSocket;
    const oldest = (await handshake({ port })) as TLSSocket;
    const closed = new Promise((resolve) => oldest.once("close", resolve));
    const strangers = [(await handshake({ port })) as TLSSocket, (await handshake({ port })) as TLSSocket];
    await closed;
    await until(() => seen.length === 4);
    expect(seen).toEqual(["known", "stranger", "stranger", "stranger"]);
    expect(listener.unidentified).toBe(2);
    // Who has a name takes none of the strangers' room.
    const another = (await handshake({ port }, identity(await mintSvid(server, id("/x"))))) as TLSSocket;
    await until(() => seen.length === 5);
    for (const socket of [known, another, ...strangers]) {
      // Its handshake counted until it was done.
      expect(socket.destroyed).toBe(socket === strangers[0]);
      socket.destroy();
    }
    await untilGone();
    controller.abort();
    await running;
  });

  test("lets agents in although strangers hold all the connections they can get", async () => {
    const server = await startServer({
      options: { connectionLimits: { tls: 20, unidentified: 3, perId: 2, local: 5 } },
    });
    const { svid } = await newAgent(server);
    const strangers: TLSSocket[] = [];
    for (let count = 0; count < 6; count++) strangers.push((await handshake(server)) as TLSSocket);
    const silent = Array.from({ length: 6 }, () => connectTcp(server.port, "127.0.0.1"));
    await Promise.all(silent.map((socket) => new Promise((resolve) => socket.once("connect", resolve))));
    const client = await server.connect(svid);
    await call(client, AgentService.postStatus, STATUS);
    for (const socket of [...strangers, ...silent]) socket.destroy();
  });

  test("closes the oldest connection of an identity that has too many, and of no other", async () => {
    const server = await startServer({
      options: { connectionLimits: { tls: 20, unidentified: 10, perId: 2, local: 5 } },
    });
    const { svid } = await newAgent(server);
    const agent = await server.connect(svid);
    await call(agent, AgentService.postStatus, STATUS);
    const workload = identity(await mintSvid(server, id("/workload")));
    const sockets: TLSSocket[] = [];
    for (let count = 0; count < 5; count++) {
      const socket = (await handshake(server, workload)) as TLSSocket;
      socket.on("error", () => {});
      await new Promise((resolve) => socket.once("data", resolve));
      sockets.push(socket);
    }
    for (const socket of sockets.slice(0, 3)) if (!socket.destroyed) await once(socket, "close");
    expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true, true, true, false, false]);
    await call(agent, AgentService.postStatus, STATUS);
    for (const socket of sockets) socket.destroy();
  });

  test("takes shorter requests of strangers, and fewer at a time", async () => {
    const server = await startServer();
    const { client } = await newAgent(server);
    const padded = { ...BundleService.getBundle, requestSerialize: (size: number) => Buffer.alloc(size, "\x7a\x00") };
    const stranger = await server.connect();
    await call(stranger, padded, 250_000);
    expect(await failure(call(stranger, padded, 270_000))).toMatchObject({ code: GrpcCode.RESOURCE_EXHAUSTED });
    await call(client, padded, 4_000_000);
    expect(await failure(call(client, padded, 4_200_000))).toMatchObject({ code: GrpcCode.RESOURCE_EXHAUSTED });
    const streams = async (socket: TLSSocket | string): Promise<number | undefined> => {
      const session = http2.connect("https://server", { createConnection: () => socket as TLSSocket });
      const [settings] = (await once(session, "remoteSettings")) as [http2.Settings];
      session.destroy();
      return settings.maxConcurrentStreams;
    };
    expect(await streams(await handshake(server))).toBe(16);
    expect(await streams(await handshake(server, identity(await mintSvid(server, id("/workload")))))).toBe(100);
  });

  test("does not start without an SVID", async () => {
    const listener = new TlsListener(
      {
        clock: new FakeClock(),
        log: recordingLogger([]),
        svid: new WatchableValue<X509Svid | undefined>(undefined),
        verifier: { verify: () => Promise.reject(new Error("unused")) },
        onConnection() {},
      },
      { address: "127.0.0.1", port: 0, requirePqKem: false, limits: { tls: 10, unidentified: 10, perId: 10 } },
    );
    await expect(listener.run(new AbortController().signal)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await expect(listener.listening).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });
});
