/** The handlers of the fake SPIRE server. */
import { randomUUID } from "node:crypto";
import {
  Metadata,
  type Server,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import { Any } from "../../src/gen/google/protobuf/any.ts";
import { Status } from "../../src/gen/google/rpc/status.ts";
import { ReserveService } from "../../src/gen/holdfast/server/v1/reserve.ts";
import {
  type WatchAuthorizedRequest,
  type WatchAuthorizedResponse,
  WatchService,
} from "../../src/gen/holdfast/server/v1/watch.ts";
import {
  AgentService,
  type AttestAgentRequest,
  type AttestAgentResponse,
} from "../../src/gen/spire/api/server/agent/v1/agent.ts";
import { BundleService } from "../../src/gen/spire/api/server/bundle/v1/bundle.ts";
import {
  EntryService,
  type SyncAuthorizedEntriesRequest,
  type SyncAuthorizedEntriesResponse,
} from "../../src/gen/spire/api/server/entry/v1/entry.ts";
import { SVIDService } from "../../src/gen/spire/api/server/svid/v1/svid.ts";
import type { Bundle, JWTKey } from "../../src/gen/spire/api/types/bundle.ts";
import { PermissionDeniedDetails, PermissionDeniedDetails_Reason } from "../../src/gen/spire/api/types/status.ts";
import type { X509SVID } from "../../src/gen/spire/api/types/x509svid.ts";
import { parseCertificate, spiffeIdOf } from "../../src/pki/certificate.ts";
import { parseCsr, verifyCsr } from "../../src/pki/csr.ts";
import { jwkFromSpki } from "../../src/pki/jwk.ts";
import type { KeyAuthority, TrustBundle } from "../../src/spiffe/bundle.ts";
import { agentId, makeSpiffeId, parseTrustDomain, pathOf, type SpiffeId } from "../../src/spiffe/id.ts";
import { makeToken } from "../pki/jwt-tokens.ts";
import type { FakeServerState } from "./spire-server.ts";
import type { TestCa } from "./test-ca.ts";

class Refused extends Error {
  readonly code: number;
  readonly metadata = new Metadata();
  constructor(code: number, message: string, reason?: PermissionDeniedDetails_Reason) {
    super(message);
    this.code = code;
    if (reason === undefined) return;
    const value = Buffer.from(PermissionDeniedDetails.encode({ reason }).finish());
    const typeUrl = "type.googleapis.com/spire.api.types.PermissionDeniedDetails";
    const details = Status.encode({ code, message, details: [Any.fromPartial({ typeUrl, value })] }).finish();
    this.metadata.set("grpc-status-details-bin", Buffer.from(details));
  }
}

type Authorize = (call: { getAuthContext(): { sslPeerCertificate?: { raw: Buffer } } }) => Caller;

interface Caller {
  readonly id: SpiffeId;
  readonly serial: string;
}

/** Adds all services. */
export function registerFakeServices(server: Server, state: FakeServerState): void {
  const began = (method: string): void => {
    state.calls.push(method);
    const failure = state.failures.get(method)?.shift();
    if (failure !== undefined) throw new Refused(failure.code, failure.message);
  };
  const unary =
    <Req, Res>(method: string, handle: (request: Req, call: ServerUnaryCall<Req, Res>) => Res | Promise<Res>) =>
    (call: ServerUnaryCall<Req, Res>, callback: sendUnaryData<Res>): void => {
      void (async () => {
        try {
          began(method);
          callback(null, await handle(call.request, call));
        } catch (error) {
          callback(error as Refused);
        }
      })();
    };
  const authorized: Authorize = (call) => authorize(state, call.getAuthContext().sslPeerCertificate?.raw);

  server.addService(
    {
      attestAgent: AgentService.attestAgent,
      renewAgent: AgentService.renewAgent,
      postStatus: AgentService.postStatus,
    },
    {
      attestAgent: (call: ServerDuplexStream<AttestAgentRequest, AttestAgentResponse>) => {
        void attest(state, began, call);
      },
      renewAgent: unary<{ params?: { csr: Buffer } }, unknown>("RenewAgent", async ({ params }, call) => {
        const caller = authorized(call);
        const agent = state.agents.get(caller.id);
        if (agent === undefined) throw new Refused(status.NOT_FOUND, "agent not found");
        if (agent.canReattest) {
          const reason = PermissionDeniedDetails_Reason.AGENT_MUST_REATTEST;
          throw new Refused(status.PERMISSION_DENIED, "agent must reattest", reason);
        }
        const svid = await issue(state, state.ca, caller.id, params?.csr ?? Buffer.alloc(0), state.agentTtlMs);
        agent.pendingSerial = parseCertificate(svid.certChain[0]!).serial;
        return { svid };
      }),
      postStatus: unary("PostStatus", (_request, call) => {
        authorized(call);
        return {};
      }),
    },
  );
  server.addService(
    { getBundle: BundleService.getBundle, getFederatedBundle: BundleService.getFederatedBundle },
    {
      getBundle: unary("GetBundle", () => wireBundle(state.bundle)),
      getFederatedBundle: unary<{ trustDomain: string }, unknown>("GetFederatedBundle", ({ trustDomain }, call) => {
        authorized(call);
        const bundle = state.federated.get(trustDomain);
        if (bundle === undefined) throw new Refused(status.NOT_FOUND, "bundle not found");
        return wireBundle(bundle);
      }),
    },
  );
  server.addService(
    {
      getAuthorizedEntries: EntryService.getAuthorizedEntries,
      ...(state.hasSync ? { syncAuthorizedEntries: EntryService.syncAuthorizedEntries } : {}),
    },
    {
      getAuthorizedEntries: unary("GetAuthorizedEntries", (_request, call) => {
        authorized(call);
        return { entries: [...state.entries.values()] };
      }),
      syncAuthorizedEntries: (
        call: ServerDuplexStream<SyncAuthorizedEntriesRequest, SyncAuthorizedEntriesResponse>,
      ) => {
        void sync(state, began, authorized, call);
      },
    },
  );
  server.addService(
    {
      batchNewX509Svid: SVIDService.batchNewX509Svid,
      batchNewWitsvid: SVIDService.batchNewWitsvid,
      newJwtsvid: SVIDService.newJwtsvid,
    },
    {
      batchNewWitsvid: unary<{ params: WitParams[] }, unknown>("BatchNewWITSVID", ({ params }, call) => {
        authorized(call);
        if (state.witKey === undefined) throw new Refused(status.UNIMPLEMENTED, "not implemented");
        return { results: params.map((item) => signWit(state, item)) };
      }),
      newJwtsvid: unary<{ entryId: string; audience: string[] }, unknown>(
        "NewJWTSVID",
        ({ entryId, audience }, call) => {
          authorized(call);
          return { svid: signJwt(state, entryId, audience) };
        },
      ),
      batchNewX509Svid: unary<{ params: { entryId: string; csr: Buffer }[] }, unknown>(
        "BatchNewX509SVID",
        async ({ params }, call) => {
          authorized(call);
          return { results: await Promise.all(params.map((item) => signItem(state, item))) };
        },
      ),
    },
  );
  server.addService(
    { newJwtsvidReserve: ReserveService.newJwtsvidReserve },
    {
      newJwtsvidReserve: unary<{ entryId: string; audience: string[] }, unknown>(
        "NewJWTSVIDReserve",
        ({ entryId, audience }, call) => {
          if (state.reserveTtlS === undefined) throw new Refused(status.UNIMPLEMENTED, "unknown service");
          authorized(call);
          return { svid: signJwt(state, entryId, audience, state.reserveTtlS), maxAudiences: 8 };
        },
      ),
    },
  );
  if (!state.hasWatch) return;
  server.addService(
    { watchAuthorized: WatchService.watchAuthorized },
    {
      watchAuthorized: (call: ServerWritableStream<WatchAuthorizedRequest, WatchAuthorizedResponse>) => {
        try {
          began("WatchAuthorized");
          authorized(call);
        } catch (error) {
          call.emit("error", error);
          return;
        }
        const tell = (message: { entries: bigint; bundle: bigint; spreadMs?: number }): void => {
          const { entries, bundle, spreadMs = 0 } = message;
          call.write({ entriesRevision: entries, bundleRevision: bundle, spreadMs, heartbeat: false });
        };
        state.watchers.add(tell);
        call.on("close", () => state.watchers.delete(tell));
        call.on("cancelled", () => state.watchers.delete(tell));
        tell({ entries: state.revision, bundle: state.bundle.sequence });
      },
    },
  );
}

/** The checks of a server, in its order. */
function authorize(state: FakeServerState, raw: Buffer | undefined): Caller {
  if (raw === undefined) throw new Refused(status.PERMISSION_DENIED, "authorization denied");
  const certificate = parseCertificate(new Uint8Array(raw));
  const caller = { id: spiffeIdOf(certificate), serial: certificate.serial };
  const denied = (reason: PermissionDeniedDetails_Reason): Refused =>
    new Refused(status.PERMISSION_DENIED, "authorization denied for method", reason);
  if (Date.now() > certificate.notAfter) throw denied(PermissionDeniedDetails_Reason.AGENT_EXPIRED);
  const agent = state.agents.get(caller.id);
  if (agent === undefined) throw denied(PermissionDeniedDetails_Reason.AGENT_NOT_ATTESTED);
  if (agent.banned) throw denied(PermissionDeniedDetails_Reason.AGENT_BANNED);
  if (agent.pendingSerial !== "" && agent.pendingSerial === caller.serial) {
    agent.serial = agent.pendingSerial;
    agent.pendingSerial = "";
  }
  if (agent.serial !== caller.serial) throw denied(PermissionDeniedDetails_Reason.AGENT_NOT_ACTIVE);
  return caller;
}

/** `join_token` as stock servers have it; `test_reattest` challenges and may come again. */
async function attest(
  state: FakeServerState,
  began: (method: string) => void,
  call: ServerDuplexStream<AttestAgentRequest, AttestAgentResponse>,
): Promise<void> {
  const messages: AsyncIterator<AttestAgentRequest> = call[Symbol.asyncIterator]();
  try {
    began("AttestAgent");
    const first = await step(messages);
    if (first?.$case !== "params") throw new Refused(status.INVALID_ARGUMENT, "malformed param");
    const { data, params } = first.value;
    if (data === undefined || params === undefined) throw new Refused(status.INVALID_ARGUMENT, "malformed param");
    const payload = Buffer.from(data.payload).toString();
    const canReattest = data.type === "test_reattest";
    if (data.type === "join_token") {
      if (!state.tokens.delete(payload))
        throw new Refused(
          status.INVALID_ARGUMENT,
          "failed to attest: join token does not exist or has already been used",
        );
    } else if (canReattest) {
      call.write({ step: { $case: "challenge", value: Buffer.from("ping") } });
      const answer = await step(messages);
      if (answer?.$case !== "challengeResponse" || Buffer.from(answer.value).toString() !== "pong") {
        throw new Refused(status.PERMISSION_DENIED, "wrong answer");
      }
    } else {
      throw new Refused(status.FAILED_PRECONDITION, "error getting node attestor");
    }
    const id = agentId(state.trustDomain, data.type, payload);
    if (state.agents.get(id)?.banned) throw new Refused(status.PERMISSION_DENIED, "failed to attest: agent is banned");
    const svid = await issue(state, state.ca, id, Buffer.from(params.csr), state.agentTtlMs);
    const { serial } = parseCertificate(svid.certChain[0]!);
    state.agents.set(id, { serial, pendingSerial: "", banned: false, canReattest });
    call.write({ step: { $case: "result", value: { svid, reattestable: canReattest } } });
    call.end();
  } catch (error) {
    call.emit("error", error);
  }
}

async function step(messages: AsyncIterator<AttestAgentRequest>): Promise<AttestAgentRequest["step"]> {
  const { value, done } = await messages.next();
  return done === true ? undefined : value.step;
}

async function sync(
  state: FakeServerState,
  began: (method: string) => void,
  authorized: Authorize,
  call: ServerDuplexStream<SyncAuthorizedEntriesRequest, SyncAuthorizedEntriesResponse>,
): Promise<void> {
  const messages: AsyncIterator<SyncAuthorizedEntriesRequest> = call[Symbol.asyncIterator]();
  const send = (part: Partial<SyncAuthorizedEntriesResponse>): void => {
    call.write({ entryRevisions: [], entries: [], more: false, ...part });
  };
  try {
    began("SyncAuthorizedEntries");
    authorized(call);
    const { value: first, done: empty } = await messages.next();
    if (empty === true || first.outputMask?.revisionNumber !== true || first.ids.length > 0) {
      throw new Refused(status.INVALID_ARGUMENT, "revision number cannot be masked");
    }
    const all = [...state.entries.values()];
    if (all.length <= state.pageSize) {
      send({ entries: all });
      call.end();
      return;
    }
    for (let start = 0; start < all.length; start += state.pageSize) {
      const page = all.slice(start, start + state.pageSize);
      send({
        entryRevisions: page.map(({ id, revisionNumber, createdAt }) => ({ id, revisionNumber, createdAt })),
        more: start + state.pageSize < all.length,
      });
    }
    for (;;) {
      const { value, done } = await messages.next();
      if (done === true) break;
      state.calls.push(`SyncAuthorizedEntries.ids:${value.ids.length}`);
      send({ entries: value.ids.flatMap((id: string) => state.entries.get(id) ?? []) });
    }
    call.end();
  } catch (error) {
    call.emit("error", error);
  }
}

async function signItem(state: FakeServerState, item: { entryId: string; csr: Buffer }) {
  const entry = state.entries.get(item.entryId);
  if (entry === undefined) return { status: { code: status.NOT_FOUND, message: "entry not found" }, svid: undefined };
  if (state.refusedEntries.has(item.entryId)) {
    return { status: { code: status.INTERNAL, message: "told to fail" }, svid: undefined };
  }
  const id = makeSpiffeId(parseTrustDomain(entry.spiffeId?.trustDomain ?? ""), entry.spiffeId?.path ?? "");
  const ttl = entry.x509SvidTtl > 0 ? entry.x509SvidTtl * 1_000 : state.svidTtlMs;
  const svid = await issue(state, state.rogueCa ?? state.ca, id, item.csr, ttl);
  return { status: { code: 0, message: "OK" }, svid };
}

function signJwt(state: FakeServerState, entryId: string, audience: readonly string[], ttlS = state.jwtTtlS) {
  const entry = state.entries.get(entryId);
  if (entry === undefined) throw new Refused(status.NOT_FOUND, "entry not found or not authorized");
  if (audience.length === 0) throw new Refused(status.INVALID_ARGUMENT, "at least one audience is required");
  const sub = makeSpiffeId(parseTrustDomain(entry.spiffeId?.trustDomain ?? ""), entry.spiffeId?.path ?? "");
  const iat = Math.floor(Date.now() / 1_000);
  const exp = iat + ttlS;
  const jti = entry.additionalAttributes?.jwtSvidIncludeJti === true ? { jti: randomUUID() } : {};
  const token = makeToken(state.jwtKey, { sub, aud: audience, iat, exp, ...jti });
  return { token, id: entry.spiffeId, issuedAt: BigInt(iat), expiresAt: BigInt(exp), hint: "" };
}

interface WitParams {
  readonly entryId: string;
  readonly publicKey: Buffer;
  readonly signingAlgorithm: string;
}

/** As stock servers do, it says nothing of the status where all went well. */
function signWit(state: FakeServerState, { entryId, publicKey, signingAlgorithm }: WitParams) {
  const entry = state.entries.get(entryId);
  if (entry === undefined || state.witKey === undefined || state.refusedEntries.has(entryId)) {
    return { status: { code: status.NOT_FOUND, message: "entry not found" }, svid: undefined };
  }
  const sub = makeSpiffeId(parseTrustDomain(entry.spiffeId?.trustDomain ?? ""), entry.spiffeId?.path ?? "");
  const iat = Math.floor(Date.now() / 1_000);
  const exp = iat + state.witTtlS;
  const cnf = { jwk: { ...jwkFromSpki(publicKey), alg: signingAlgorithm } };
  const token = makeToken(state.witKey, { sub, cnf, iat, exp, ...state.witClaims }, { typ: "wit+jwt" });
  const svid = { token, id: entry.spiffeId, issuedAt: BigInt(iat), expiresAt: BigInt(exp), hint: "" };
  return { status: undefined, svid };
}

async function issue(
  state: FakeServerState,
  ca: TestCa,
  id: SpiffeId,
  csrBytes: Buffer,
  ttlMs: number,
): Promise<X509SVID> {
  const csr = parseCsr(new Uint8Array(csrBytes));
  await verifyCsr(csr);
  const now = Date.now();
  const chain = await ca.issue(id, csr.spki, { notBefore: now - 10_000, notAfter: now + ttlMs });
  return {
    certChain: chain.map((der) => Buffer.from(der)),
    id: { trustDomain: state.trustDomain, path: pathOf(id) },
    expiresAt: BigInt(Math.floor((now + ttlMs) / 1_000)),
    hint: "",
  };
}

function wireBundle(bundle: TrustBundle): Bundle {
  return {
    trustDomain: bundle.trustDomain,
    x509Authorities: bundle.x509Authorities.map(({ certificate, tainted }) => ({
      asn1: Buffer.from(certificate),
      tainted,
    })),
    jwtAuthorities: bundle.jwtAuthorities.map(wireKey),
    refreshHint: BigInt(bundle.refreshHint),
    sequenceNumber: bundle.sequence,
    witAuthorities: bundle.witAuthorities.map(wireKey),
  };
}

function wireKey(key: KeyAuthority): JWTKey {
  return { ...key, publicKey: Buffer.from(key.publicKey), expiresAt: BigInt(key.expiresAt) };
}
