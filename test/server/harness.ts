/** A whole server on real sockets: SQLite, a self-signed CA, TLS and the admin socket, with clients for both. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConnectionOptions, createSecureContext } from "node:tls";
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { onTestFinished } from "vitest";
import { JoinTokenServerAttestor } from "../../src/attestors/join-token/server.ts";
import type { ServerNodeAttestor } from "../../src/attestors/node.ts";
import { Status } from "../../src/gen/google/rpc/status.ts";
import { AgentService } from "../../src/gen/spire/api/server/agent/v1/agent.ts";
import { PermissionDeniedDetails, PermissionDeniedDetails_Reason } from "../../src/gen/spire/api/types/status.ts";
import type { X509SVID } from "../../src/gen/spire/api/types/x509svid.ts";
import type { LogFields, Logger } from "../../src/lib/log.ts";
import { noMetrics } from "../../src/lib/metrics.ts";
import { systemRandom } from "../../src/lib/random.ts";
import { WatchableValue } from "../../src/lib/watchable.ts";
import { parseCertificate } from "../../src/pki/certificate.ts";
import { createCsr } from "../../src/pki/csr.ts";
import { generateKey, pkcs8Of, spkiOf } from "../../src/pki/keys.ts";
import { pemEncode } from "../../src/pki/pem.ts";
import { SvidIssuer } from "../../src/server/ca/issuer.ts";
import { JwtSvidIssuer } from "../../src/server/ca/jwt-issuer.ts";
import { CaManager, type CaManagerDeps } from "../../src/server/ca/manager.ts";
import { MemoryKeyManager } from "../../src/server/ca/memory-key-manager.ts";
import { WitSvidIssuer } from "../../src/server/ca/wit-issuer.ts";
import { openSqliteDataStore } from "../../src/server/datastore/sqlite/datastore.ts";
import { AuthorizedEntries } from "../../src/server/entries/authorized-entries.ts";
import { createServer, type ServerDeps, type ServerOptions } from "../../src/server/server.ts";
import { type SpiffeId, serverId } from "../../src/spiffe/id.ts";
import type { Der, X509Svid } from "../../src/spiffe/svid.ts";
import { TD } from "../fakes/entries.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { FakeLevel } from "../fakes/fake-level.ts";

/** One line that was logged. */
export interface Line {
  readonly level: string;
  readonly message: string;
  readonly fields: LogFields;
}

/** Keeps what is logged. */
export function recordingLogger(lines: Line[], subsystem = ""): Logger {
  const at =
    (level: string) =>
    (message: string, fields: LogFields = {}): void =>
      void lines.push({ level, message, fields: { ...fields, subsystem_name: subsystem } });
  return {
    error: at("error"),
    warn: at("warn"),
    info: at("info"),
    debug: at("debug"),
    trace: at("trace"),
    named: (name) => recordingLogger(lines, name),
  };
}

export type TestServer = Awaited<ReturnType<typeof startServer>>;

/** What differs from a plain server. */
export interface TestServerOptions {
  readonly options?: Partial<ServerOptions>;
  readonly attestors?: readonly ServerNodeAttestor[];
  readonly deps?: Partial<ServerDeps>;
  readonly ca?: Partial<CaManagerDeps>;
}

/** Starts a server; it stops when the test ends. Its clock stands still unless it is told to move. */
export async function startServer(given: TestServerOptions = {}) {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-server-"));
  const clock = new FakeClock(Date.now());
  const lines: Line[] = [];
  const log = recordingLogger(lines);
  const store = await openSqliteDataStore({ path: join(folder, "db.sqlite3"), clock });
  const subject = { country: ["US"], organization: ["SPIFFE"], commonName: "" };
  const day = 24 * 3_600_000;
  const ca = new CaManager({
    store,
    keys: new MemoryKeyManager(),
    clock,
    random: systemRandom,
    log,
    profile: { trustDomain: TD, subject, ttlMs: 7 * day },
    keyType: "ec-p256",
    jwtKeyType: "ec-p256",
    ...given.ca,
  });
  await ca.initialize();
  const jwtIssuer =
    ca.jwt &&
    new JwtSvidIssuer({ active: ca.jwt.active, clock, random: systemRandom, trustDomain: TD, jwtSvidTtlMs: 300_000 });
  const witIssuer =
    ca.wit && new WitSvidIssuer({ active: ca.wit.active, clock, trustDomain: TD, witSvidTtlMs: 6 * 3_600_000 });
  const issuer = new SvidIssuer({
    active: ca.x509.active,
    clock,
    random: systemRandom,
    trustDomain: TD,
    x509SvidTtlMs: 6 * 3_600_000,
    agentTtlMs: day,
  });
  const ownSvid = new WatchableValue<X509Svid | undefined>(undefined);
  /** Gives the server a new SVID of its own. */
  const renewOwnSvid = async (): Promise<void> => {
    const privateKey = await generateKey("ec-p256");
    const { chain, notBefore, notAfter } = await issuer.issueServerSvid({ spki: spkiOf(privateKey) });
    ownSvid.set({ spiffeId: serverId(TD), chain, privateKey, notBefore, notAfter });
  };
  await renewOwnSvid();
  const index = new AuthorizedEntries({ store, clock, log, trustDomain: TD });
  await index.load();

  const server = createServer(
    {
      clock,
      random: systemRandom,
      log,
      logLevel: new FakeLevel(),
      metrics: noMetrics,
      datastore: store,
      issuer,
      ...(jwtIssuer !== undefined && { jwtIssuer }),
      ...(witIssuer !== undefined && { witIssuer }),
      authorities: ca,
      caHealth: () => ca.health(),
      svid: ownSvid,
      index,
      attestors: [new JoinTokenServerAttestor(TD), ...(given.attestors ?? [])],
      ...given.deps,
    },
    {
      trustDomain: TD,
      bindAddress: "127.0.0.1",
      bindPort: 0,
      socketPath: join(folder, "private", "api.sock"),
      adminIds: [],
      requirePqKem: false,
      auditLog: false,
      rateLimit: { attestation: false, signing: false },
      pruning: { tofuNodes: false, eventsOlderThanMs: 12 * 3_600_000 },
      agentIdAsSelector: false,
      outageBudgetMs: 0,
      ...given.options,
    },
  );
  const controller = new AbortController();
  const running = server.run(controller.signal);
  const closers: (() => void)[] = [];
  /** Stops the server, then its clients. Returns whether calls in progress had to be waited for. */
  const stop = async (): Promise<"at once" | "after a while"> => {
    controller.abort();
    const state = { done: false };
    void running
      .catch(() => {})
      .finally(() => {
        state.done = true;
      });
    const until = Date.now() + 250;
    while (!state.done && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 5));
    const outcome = state.done ? "at once" : "after a while";
    // Calls in progress are given time by a clock that nobody moves but us.
    while (!state.done) {
      await clock.advance(60_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    for (const close of closers.splice(0)) close();
    return outcome;
  };
  onTestFinished(async () => {
    await stop();
    await store.close();
    await rm(folder, { recursive: true, force: true });
  });
  running.catch(() => {});
  const { port } = await server.listening;
  const socketPath = given.options?.socketPath ?? join(folder, "private", "api.sock");
  const bundle = async (): Promise<string> => {
    const { x509Authorities = [] } = (await store.bundles.get(TD)) ?? {};
    return x509Authorities.map(({ certificate }) => pemEncode("CERTIFICATE", certificate)).join("");
  };

  const opened = (client: Client): Client => {
    closers.push(() => client.close());
    return client;
  };
  /** A client on the admin socket. */
  const admin = opened(new Client(`unix:${socketPath}`, credentials.createInsecure()));
  /** A client over TLS, with an SVID or without. */
  const connect = async (svid?: X509Svid): Promise<Client> => {
    const context = createSecureContext({ ca: await bundle(), minVersion: "TLSv1.3", ...identity(svid) });
    return opened(
      new Client(
        `127.0.0.1:${port}`,
        credentials.createFromSecureContext(context, { checkServerIdentity: () => undefined }),
        // Each client its own connection, as each agent has.
        { "grpc.ssl_target_name_override": "server", "grpc.use_local_subchannel_pool": 1 },
      ),
    );
  };

  return {
    server,
    clock,
    store,
    ca,
    issuer,
    ownSvid,
    renewOwnSvid,
    index,
    lines,
    port,
    socketPath,
    admin,
    connect,
    bundle,
    stop,
    running,
  };
}

/** Key and certificate as Node's TLS wants them. */
export function identity(svid: X509Svid | undefined): Pick<ConnectionOptions, "key" | "cert"> {
  if (svid === undefined) return {};
  return {
    key: pemEncode("PRIVATE KEY", pkcs8Of(svid.privateKey)),
    cert: svid.chain.map((certificate) => pemEncode("CERTIFICATE", certificate)).join(""),
  };
}

interface Definition<Request, Response> {
  readonly path: string;
  readonly requestSerialize: (request: Request) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Response;
}

/** A call that failed, as the peer sees it. */
export class CallError extends Error {
  readonly code: number;
  readonly details: string;
  readonly reason: string | undefined;
  readonly types: readonly string[];

  constructor(error: ServiceError) {
    super(`${error.code} ${error.details}`);
    this.code = error.code;
    this.details = error.details;
    const [bytes] = error.metadata.get("grpc-status-details-bin");
    const anys = bytes instanceof Buffer ? Status.decode(bytes).details : [];
    this.types = anys.map(({ typeUrl }) => typeUrl);
    const denied = anys.find(
      ({ typeUrl }) => typeUrl === "type.googleapis.com/spire.api.types.PermissionDeniedDetails",
    );
    if (denied !== undefined) {
      const { reason } = PermissionDeniedDetails.decode(denied.value);
      this.reason = Object.entries(PermissionDeniedDetails_Reason).find(([, value]) => value === reason)?.[0];
    }
  }
}

/** One unary call. Rejects with `CallError`. */
export function call<Request, Response>(
  client: Client,
  definition: Definition<Request, Response>,
  request: Request,
  timeoutMs = 15_000,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      definition.path,
      definition.requestSerialize,
      definition.responseDeserialize,
      request,
      new Metadata(),
      { deadline: Date.now() + timeoutMs },
      (error, response) => {
        if (error !== null) reject(new CallError(error));
        else resolve(response as Response);
      },
    );
  });
}

/** What became of a call that should fail. */
export async function failure(promise: Promise<unknown>): Promise<CallError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof CallError) return error;
    throw error;
  }
  throw new Error("the call succeeded");
}

/** A stream as the peer sees it; by default with a deadline. */
export function converse<Request, Response>(
  client: Client,
  definition: Definition<Request, Response>,
  timeoutMs = 15_000,
) {
  const stream = client.makeBidiStreamRequest(
    definition.path,
    definition.requestSerialize,
    definition.responseDeserialize,
    new Metadata(),
    { deadline: Date.now() + timeoutMs },
  );
  return {
    send: (request: Request) => void stream.write(request),
    end: () => stream.end(),
    cancel: () => stream.cancel(),
    ...reader<Response>(stream),
  };
}

/** A stream of responses to one request. */
export function subscribe<Request, Response>(
  client: Client,
  definition: Definition<Request, Response>,
  request: Request,
) {
  const stream = client.makeServerStreamRequest(
    definition.path,
    definition.requestSerialize,
    definition.responseDeserialize,
    request,
    new Metadata(),
    {},
  );
  return { cancel: () => stream.cancel(), ...reader<Response>(stream) };
}

type Readable<Response> = {
  on(event: "data", listener: (message: Response) => void): unknown;
  on(event: "error", listener: (error: ServiceError) => void): unknown;
  on(event: "end", listener: () => void): unknown;
};

/** `next` gives messages in order, `undefined` at a good end, and rejects with `CallError`. */
function reader<Response>(stream: Readable<Response>) {
  const messages: Response[] = [];
  let over: { readonly error?: CallError } | undefined;
  let wake = (): void => {};
  stream.on("data", (message) => {
    messages.push(message);
    wake();
  });
  stream.on("error", (error) => {
    over = { error: new CallError(error) };
    wake();
  });
  stream.on("end", () => {
    over ??= {};
    wake();
  });
  const next = async (): Promise<Response | undefined> => {
    for (;;) {
      const message = messages.shift();
      if (message !== undefined) return message;
      if (over?.error !== undefined) throw over.error;
      if (over !== undefined) {
        // An error is told after the end.
        await new Promise((resolve) => setTimeout(resolve, 20));
        if (over.error !== undefined) throw over.error;
        return undefined;
      }
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  return { next, waiting: () => messages.length };
}

/** Attests with a join token on a connection of its own; the agent's SVID. */
export async function attest(server: TestServer, token: string): Promise<X509Svid> {
  const privateKey = await generateKey("ec-p256");
  const csr = await createCsr({ privateKey });
  const client = await server.connect();
  const stream = converse(client, AgentService.attestAgent);
  const data = { type: "join_token", payload: Buffer.from(token) };
  stream.send({ step: { $case: "params", value: { data, params: { csr } } } });
  stream.end();
  const response = await stream.next();
  if (response?.step?.$case !== "result") throw new Error("no result");
  return toSvid(response.step.value.svid, privateKey);
}

/** A fresh token, made by the operator. */
export async function newToken(server: TestServer, alias?: SpiffeId): Promise<string> {
  const path = alias?.slice(`spiffe://${TD}`.length);
  const agentId = path === undefined ? undefined : { trustDomain: TD, path };
  return (await call(server.admin, AgentService.createJoinToken, { ttl: 600, token: "", agentId })).value;
}

/** An attested agent with its client. */
export async function newAgent(server: TestServer) {
  const token = await newToken(server);
  const svid = await attest(server, token);
  return { svid, agentId: svid.spiffeId, client: await server.connect(svid) };
}

/** What the server answered, as an SVID. */
export function toSvid(message: X509SVID | undefined, privateKey: X509Svid["privateKey"]): X509Svid {
  if (message?.id === undefined) throw new Error("no SVID");
  const chain = message.certChain.map((der) => new Uint8Array(der) as Der);
  const { notBefore, notAfter } = parseCertificate(chain[0] as Der);
  return {
    spiffeId: `spiffe://${message.id.trustDomain}${message.id.path}` as SpiffeId,
    chain,
    privateKey,
    notBefore,
    notAfter,
  };
}

/** An SVID for any ID, signed by the server's CA behind its back. */
export async function mintSvid(server: TestServer, spiffeId: SpiffeId, ttl = 3600): Promise<X509Svid> {
  const privateKey = await generateKey("ec-p256");
  const issued = await server.issuer.issueWorkloadSvid({ spiffeId, spki: spkiOf(privateKey), dnsNames: [], ttl });
  return { spiffeId, chain: issued.chain, privateKey, notBefore: issued.notBefore, notAfter: issued.notAfter };
}
