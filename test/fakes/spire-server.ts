/**
 * A SPIRE server in the test's own process: real gRPC over real mTLS on loopback, and as little behind it as an
 * agent can notice. It behaves like a stock server unless told otherwise.
 */
import { type AddressInfo, createServer as createTcp } from "node:net";
import { createServer, type SecureContextOptions, type TLSSocket, type Server as TlsServer } from "node:tls";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import type { Entry } from "../../src/gen/spire/api/types/entry.ts";
import { pkcs8Of } from "../../src/pki/keys.ts";
import { pemEncode } from "../../src/pki/pem.ts";
import type { TrustBundle } from "../../src/spiffe/bundle.ts";
import { type SpiffeId, serverId, type TrustDomain } from "../../src/spiffe/id.ts";
import { makeKey, type SigningKey } from "../pki/jwt-tokens.ts";
import { registerFakeServices } from "./spire-server-api.ts";
import { bundleOf, HOUR, TestCa } from "./test-ca.ts";

/** An attested agent, as a server's datastore holds it. */
export interface FakeAgent {
  serial: string;
  pendingSerial: string;
  banned: boolean;
  canReattest: boolean;
}

/** Everything that the fake can be told. */
export interface FakeServerState {
  readonly trustDomain: TrustDomain;
  readonly tokens: Set<string>;
  readonly agents: Map<string, FakeAgent>;
  readonly entries: Map<string, Entry>;
  readonly federated: Map<string, TrustBundle>;
  /** The CA that signs now. */
  ca: TestCa;
  bundle: TrustBundle;
  agentTtlMs: number;
  svidTtlMs: number;
  pageSize: number;
  /** Stock servers have no watch, old ones no sync. */
  hasWatch: boolean;
  hasSync: boolean;
  /** The next call of a method fails with this status; consumed by it. Methods by their short name. */
  readonly failures: Map<string, { readonly code: number; readonly message: string }[]>;
  /** Entries that BatchNewX509SVID answers with an error. */
  readonly refusedEntries: Set<string>;
  /** Issue workload SVIDs by this CA instead, which no bundle knows. */
  rogueCa: TestCa | undefined;
  /** Signs JWT-SVIDs; its public half belongs in the bundle. */
  jwtKey: SigningKey;
  jwtTtlS: number;
  /** Seconds that JWT-SVIDs for the reserve live; absent: there are none, as at stock servers. */
  reserveTtlS?: number;
  /** Signs WIT-SVIDs; its public half belongs in the bundle. Stock servers have none. */
  witKey: SigningKey | undefined;
  witTtlS: number;
  /** What is changed in the claims of WIT-SVIDs. */
  witClaims: object;
  /** Calls, by short method name, in order. */
  readonly calls: string[];
  /** The watch streams that are open. */
  readonly watchers: Set<(message: { entries: bigint; bundle: bigint; spreadMs?: number }) => void>;
  revision: bigint;
}

/** Options of `FakeSpireServer.start`. */
export interface FakeServerOptions {
  readonly trustDomain: TrustDomain;
  /** The CA that signs; a fresh one by default. */
  readonly ca?: TestCa;
  /** The ID in the server's certificate, if not the right one. */
  readonly ownId?: SpiffeId;
  readonly maxVersion?: "TLSv1.2" | "TLSv1.3";
  readonly ecdhCurve?: string;
}

/** Listens on a port that stays the same across `stop` and `start`. */
export class FakeSpireServer implements AsyncDisposable {
  readonly state: FakeServerState;
  readonly #options: FakeServerOptions;
  readonly #sockets = new Set<TLSSocket>();
  #tls: TlsServer | undefined;
  #port = 0;

  private constructor(options: FakeServerOptions, ca: TestCa) {
    this.#options = options;
    this.state = {
      trustDomain: options.trustDomain,
      tokens: new Set(),
      agents: new Map(),
      entries: new Map(),
      federated: new Map(),
      ca,
      bundle: bundleOf(options.trustDomain, [{ ca }]),
      agentTtlMs: HOUR,
      svidTtlMs: HOUR,
      pageSize: 500,
      hasWatch: false,
      hasSync: true,
      failures: new Map(),
      refusedEntries: new Set(),
      jwtKey: makeKey("jwt-1"),
      jwtTtlS: 300,
      witKey: undefined,
      witTtlS: 3_600,
      witClaims: {},
      rogueCa: undefined,
      calls: [],
      watchers: new Set(),
      revision: 1n,
    };
  }

  static async start(options: FakeServerOptions): Promise<FakeSpireServer> {
    const server = new FakeSpireServer(options, options.ca ?? (await TestCa.create(options.trustDomain)));
    await server.start();
    return server;
  }

  get port(): number {
    return this.#port;
  }

  /** TLS connections that are open. */
  get connections(): number {
    return this.#sockets.size;
  }

  async start(): Promise<void> {
    const { trustDomain, ownId = serverId(trustDomain), maxVersion = "TLSv1.3", ecdhCurve } = this.#options;
    const grpc = new Server();
    registerFakeServices(grpc, this.state);
    const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure());
    const tls = createServer(
      {
        requestCert: true,
        rejectUnauthorized: false,
        maxVersion,
        ALPNProtocols: ["h2"],
        ...(ecdhCurve === undefined ? {} : { ecdhCurve }),
        ...(await this.#tlsContext(ownId)),
      },
      (socket) => {
        this.#sockets.add(socket);
        socket.once("close", () => this.#sockets.delete(socket));
        injector.injectConnection(socket);
      },
    );
    tls.on("tlsClientError", () => {});
    this.#tls = tls;
    await new Promise<void>((resolve, reject) => {
      tls.once("error", reject);
      tls.listen(this.#port, "127.0.0.1", resolve);
    });
    this.#port = (tls.address() as AddressInfo).port;
  }

  /** Goes away, and drops every connection. */
  async stop(): Promise<void> {
    const tls = this.#tls;
    if (tls === undefined) return;
    this.#tls = undefined;
    const closed = new Promise<void>((resolve) => tls.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** From now on another CA signs, and both are in the bundle. New connections see a certificate of the new one. */
  async rotateCa(options: { readonly taintOld?: boolean } = {}): Promise<void> {
    const old = this.state.ca;
    this.state.ca = await TestCa.create(this.state.trustDomain);
    this.state.bundle = bundleOf(
      this.state.trustDomain,
      [{ ca: old, tainted: options.taintOld ?? false }, { ca: this.state.ca }],
      this.state.bundle.sequence + 1n,
    );
    this.#tls?.setSecureContext(await this.#tlsContext(serverId(this.state.trustDomain)));
  }

  async #tlsContext(id: SpiffeId): Promise<SecureContextOptions> {
    const svid = await this.state.ca.svid(id);
    const pem = (der: Uint8Array): string => pemEncode("CERTIFICATE", der);
    return {
      minVersion: "TLSv1.2",
      key: pemEncode("PRIVATE KEY", pkcs8Of(svid.privateKey)),
      cert: svid.chain.map(pem).join(""),
      ca: this.state.bundle.x509Authorities.map(({ certificate }) => pem(certificate)),
    };
  }

  /** Adds an entry for workloads with these selectors. */
  addEntry(id: string, path: string, selectors: readonly string[], change: Partial<Entry> = {}): void {
    this.state.entries.set(id, fakeEntry(this.state.trustDomain, id, path, selectors, change));
    this.state.revision++;
  }

  /** Tells the watching agents that something changed. */
  announce(spreadMs = 0): void {
    for (const tell of this.state.watchers) {
      tell({ entries: this.state.revision, bundle: this.state.bundle.sequence, spreadMs });
    }
  }

  /** How often a method was called. */
  count(method: string): number {
    return this.state.calls.filter((call) => call === method).length;
  }

  /** Makes the next call of a method fail. */
  failNext(method: string, code: number, message = "told to fail"): void {
    const list = this.state.failures.get(method) ?? [];
    list.push({ code, message });
    this.state.failures.set(method, list);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** An entry as a server sends it. */
export function fakeEntry(
  trustDomain: TrustDomain,
  id: string,
  path: string,
  selectors: readonly string[],
  change: Partial<Entry> = {},
): Entry {
  return {
    id,
    spiffeId: { trustDomain, path },
    parentId: { trustDomain, path: "/spire/agent/test" },
    selectors: selectors.map((text) => {
      const colon = text.indexOf(":");
      return { type: text.slice(0, colon), value: text.slice(colon + 1) };
    }),
    x509SvidTtl: 0,
    federatesWith: [],
    admin: false,
    downstream: false,
    expiresAt: 0n,
    dnsNames: [],
    revisionNumber: 0n,
    storeSvid: false,
    jwtSvidTtl: 0,
    hint: "",
    createdAt: 1_700_000_000n,
    additionalAttributes: undefined,
    ...change,
  };
}

/** A port on loopback where nothing listens. */
export async function freePort(): Promise<number> {
  const server = createTcp();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}
