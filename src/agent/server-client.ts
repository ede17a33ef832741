/**
 * Typed calls to the server over one channel, with one identity. A new agent SVID needs a new client, because a live
 * connection keeps the certificate that it was opened with.
 */
import { Client } from "@grpc/grpc-js";
import { ReserveService } from "../gen/holdfast/server/v1/reserve.ts";
import { WatchAuthorizedRequest, WatchService } from "../gen/holdfast/server/v1/watch.ts";
import { AgentService, AttestAgentRequest, PostStatusRequest } from "../gen/spire/api/server/agent/v1/agent.ts";
import { BundleService } from "../gen/spire/api/server/bundle/v1/bundle.ts";
import { EntryService } from "../gen/spire/api/server/entry/v1/entry.ts";
import { BatchNewWITSVIDRequest, BatchNewX509SVIDRequest, SVIDService } from "../gen/spire/api/server/svid/v1/svid.ts";
import type { Entry } from "../gen/spire/api/types/entry.ts";
import type { Clock } from "../lib/clock.ts";
import { AgentError, errorCode } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import { turn } from "../lib/turn.ts";
import type { TrustBundle } from "../spiffe/bundle.ts";
import type { AuthorizedEntry } from "../spiffe/entry.ts";
import type { TrustDomain } from "../spiffe/id.ts";
import type { Der } from "../spiffe/svid.ts";
import type { SignedToken } from "./issued-jwt.ts";
import { type BatchResult, batchResults } from "./server-client-batch.ts";
import { ServerCallError } from "./server-client-errors.ts";
import { converse, type RpcChannel, subscribe, unary } from "./server-client-rpc.ts";
import { ENTRY_MASK, MAX_ENTRIES, syncEntries } from "./server-client-sync.ts";
import type { ServerTlsCredentials } from "./server-tls.ts";
import { toAuthorizedEntry, toChain, toSignedToken, toTrustBundle } from "./wire.ts";

/** Where the server is and how to speak to it. */
export interface ServerClientOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly trustDomain: TrustDomain;
  /** Host name or address, without brackets. */
  readonly host: string;
  readonly port: number;
  readonly credentials: ServerTlsCredentials;
  /** The agent's own version, for the server's records. */
  readonly version: string;
  /** `pick-first` keeps all calls on one connection, as bootstrap needs; `round-robin` spreads them over a name's addresses. */
  readonly balancing: "pick-first" | "round-robin";
  /** Use `GetAuthorizedEntries` even if the server has the newer call. */
  readonly wholeSync?: boolean;
}

/** What the agent offers as proof of its node. */
export interface AttestRequest {
  readonly type: string;
  readonly payload: Uint8Array;
  readonly csr: Uint8Array;
  /** Answers a challenge. */
  readonly respond: (challenge: Uint8Array) => Promise<Uint8Array>;
}

/** What our own server tells of changes; see `watch.proto`. */
export interface WatchMessage {
  readonly entriesRevision: bigint;
  readonly bundleRevision: bigint;
  readonly spreadMs: number;
  readonly heartbeat: boolean;
}

const RPC_TIMEOUT_MS = 30_000;
/** A page of 500 entries with long selectors fits many times. */
const MAX_MESSAGE_BYTES = 32 * 1024 * 1024;
/** No attestor has more than two rounds. */
const MAX_CHALLENGES = 10;
const CLOSED = new AgentError("CANCELLED", "the client was closed");
/** Entries converted before callers of the agent get a turn. */
const ENTRIES_PER_TURN = 500;

/** All methods throw a `ServerCallError` (with `recovery`), `MALFORMED` for an unusable answer, or the signal's reason. */
export class ServerClient implements Disposable {
  readonly #options: ServerClientOptions;
  readonly #channel: RpcChannel;
  readonly #streams = new Set<AbortController>();
  #wholeSync: boolean;
  #closed = false;

  constructor(options: ServerClientOptions) {
    const { host, port, credentials, clock } = options;
    this.#options = options;
    this.#wholeSync = options.wholeSync ?? false;
    const client = new Client(`dns:///${host.includes(":") ? `[${host}]` : host}:${port}`, credentials, {
      "grpc.primary_user_agent": `holdfast-agent/${options.version}`,
      "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
      "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
      "grpc.use_local_subchannel_pool": 1,
      "grpc.service_config_disable_resolution": 1,
      "grpc.service_config": JSON.stringify({
        loadBalancingConfig: [options.balancing === "pick-first" ? { pick_first: {} } : { round_robin: {} }],
      }),
    });
    this.#channel = { client, clock, timeoutMs: RPC_TIMEOUT_MS, connectionFailure: () => credentials.failure };
  }

  /** Refuses new calls and ends streams of changes; other calls in progress end by themselves. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const stream of Array.from(this.#streams)) stream.abort(CLOSED);
    this.#channel.client.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Proves the node and gets the agent's SVID chain, unverified. Needs no identity. */
  async attestAgent(
    request: AttestRequest,
    signal: AbortSignal,
  ): Promise<{ readonly chain: readonly Der[]; readonly reattestable: boolean }> {
    return await converse(this.#channel, AgentService.attestAgent, signal, async ({ send, next }) => {
      const { type, payload, csr } = request;
      send(
        AttestAgentRequest.fromPartial({
          step: { $case: "params", value: { data: { type, payload }, params: { csr } } },
        }),
      );
      for (let round = 0; round <= MAX_CHALLENGES; round++) {
        const step = (await next())?.step;
        if (step?.$case === "result") return { chain: toChain(step.value.svid), reattestable: step.value.reattestable };
        if (step?.$case !== "challenge")
          throw new ServerCallError("INTERNAL", "AttestAgent: the server sent no result");
        const answer = await request.respond(step.value);
        send({ step: { $case: "challengeResponse", value: Buffer.from(answer) } });
      }
      throw new ServerCallError("INTERNAL", "AttestAgent: the server sent too many challenges");
    });
  }

  /** A new SVID for a new key, for agents that do not attest anew. The old one works until the new one is first used. */
  async renewAgent(csr: Uint8Array, signal: AbortSignal): Promise<readonly Der[]> {
    const request = { params: { csr: Buffer.from(csr) } };
    return toChain((await unary(this.#channel, AgentService.renewAgent, request, signal)).svid);
  }

  /** Tells the server our version. */
  async postStatus(signal: AbortSignal): Promise<void> {
    const request = PostStatusRequest.fromPartial({ agentVersion: this.#options.version });
    await unary(this.#channel, AgentService.postStatus, request, signal);
  }

  /** The bundle of our trust domain; never without an X.509 authority. */
  async getBundle(signal: AbortSignal): Promise<TrustBundle> {
    const { trustDomain, log } = this.#options;
    const answer = await unary(this.#channel, BundleService.getBundle, { outputMask: undefined }, signal);
    const bundle = toTrustBundle(answer, trustDomain, log);
    if (bundle.x509Authorities.length === 0) {
      throw new AgentError("MALFORMED", "GetBundle: the server's bundle holds no X.509 authority");
    }
    return bundle;
  }

  /** The bundle of a federated trust domain, read with the help of the one that is known; undefined when the server has none. */
  async getFederatedBundle(
    trustDomain: TrustDomain,
    known: TrustBundle | undefined,
    signal: AbortSignal,
  ): Promise<TrustBundle | undefined> {
    try {
      const request = { trustDomain, outputMask: undefined };
      const answer = await unary(this.#channel, BundleService.getFederatedBundle, request, signal);
      return toTrustBundle(answer, trustDomain, this.#options.log, known);
    } catch (error) {
      if (errorCode(error) === "NOT_FOUND") return undefined;
      throw error;
    }
  }

  /** Has CSRs signed for entries; one result per item, in order. */
  async batchNewX509Svid(
    items: readonly { readonly entryId: string; readonly csr: Uint8Array }[],
    signal: AbortSignal,
  ): Promise<readonly BatchResult<readonly Der[]>[]> {
    const request = BatchNewX509SVIDRequest.fromPartial({
      params: items.map(({ entryId, csr }) => ({ entryId, csr: Buffer.from(csr) })),
    });
    const { results } = await unary(this.#channel, SVIDService.batchNewX509Svid, request, signal);
    return batchResults("BatchNewX509SVID", items.length, results, ({ svid }) => toChain(svid));
  }

  /**
   * Has tokens signed for entries and public keys; one result per item, in order. Servers that sign none answer
   * `UNIMPLEMENTED`.
   */
  async batchNewWitSvid(
    items: readonly { readonly entryId: string; readonly publicKey: Uint8Array; readonly algorithm: string }[],
    signal: AbortSignal,
  ): Promise<readonly BatchResult<SignedToken>[]> {
    const request = BatchNewWITSVIDRequest.fromPartial({
      params: items.map(({ entryId, publicKey, algorithm: signingAlgorithm }) => {
        return { entryId, publicKey: Buffer.from(publicKey), signingAlgorithm };
      }),
    });
    const { results } = await unary(this.#channel, SVIDService.batchNewWitsvid, request, signal);
    return batchResults("BatchNewWITSVID", items.length, results, ({ svid }) => toSignedToken(svid));
  }

  /** A token for an entry, as the server sent it. */
  async newJwtSvid(entryId: string, audience: readonly string[], signal: AbortSignal): Promise<SignedToken> {
    const request = { entryId, audience: [...audience] };
    return toSignedToken((await unary(this.#channel, SVIDService.newJwtsvid, request, signal)).svid);
  }

  /**
   * A token for the time without a server, as the server sent it, and for how many audiences an identity may have such.
   * Servers that give none answer `UNIMPLEMENTED`.
   */
  async newJwtSvidReserve(
    entryId: string,
    audience: readonly string[],
    signal: AbortSignal,
  ): Promise<{ readonly signed: SignedToken; readonly maxAudiences: number }> {
    const request = { entryId, audience: [...audience] };
    const { svid, maxAudiences } = await unary(this.#channel, ReserveService.newJwtsvidReserve, request, signal);
    return { signed: toSignedToken(svid), maxAudiences };
  }

  /** The entries this agent is authorized for, by ID; those in `known` that did not change are taken from there. */
  async syncEntries(
    known: ReadonlyMap<string, AuthorizedEntry>,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, AuthorizedEntry>> {
    if (!this.#wholeSync) {
      try {
        const { entries, unchanged } = await converse(
          this.#channel,
          EntryService.syncAuthorizedEntries,
          signal,
          (talk) => syncEntries(talk, known),
        );
        return await this.#domainEntries(entries, unchanged, known);
      } catch (error) {
        if (errorCode(error) !== "UNIMPLEMENTED") throw error;
        this.#wholeSync = true;
      }
    }
    const { entries } = await unary(
      this.#channel,
      EntryService.getAuthorizedEntries,
      { outputMask: ENTRY_MASK },
      signal,
    );
    return await this.#domainEntries(entries, [], known);
  }

  /** Follows changes, on our own servers; others answer `UNIMPLEMENTED`. Ends without an error when the server or `close` ends it. */
  async *watchAuthorized(signal: AbortSignal): AsyncGenerator<WatchMessage, void, void> {
    const request = WatchAuthorizedRequest.fromPartial({ agentVersion: this.#options.version });
    const stream = new AbortController();
    const abort = (): void => stream.abort(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    this.#streams.add(stream);
    try {
      signal.throwIfAborted();
      if (!this.#closed) yield* subscribe(this.#channel, WatchService.watchAuthorized, request, stream.signal);
    } catch (error) {
      if (error !== CLOSED) throw error;
    } finally {
      this.#streams.delete(stream);
      signal.removeEventListener("abort", abort);
    }
  }

  async #domainEntries(
    received: readonly Entry[],
    unchanged: readonly string[],
    known: ReadonlyMap<string, AuthorizedEntry>,
  ): Promise<ReadonlyMap<string, AuthorizedEntry>> {
    if (received.length > MAX_ENTRIES) {
      throw new ServerCallError("INTERNAL", `the server sent more than ${MAX_ENTRIES} entries`);
    }
    const entries = new Map<string, AuthorizedEntry>();
    for (const id of unchanged) {
      const entry = known.get(id);
      if (entry !== undefined) entries.set(id, entry);
    }
    for (const [index, message] of received.entries()) {
      if (index % ENTRIES_PER_TURN === ENTRIES_PER_TURN - 1) await turn();
      const entry = toAuthorizedEntry(message, this.#options.trustDomain, this.#options.log);
      if (entry !== undefined) entries.set(entry.entryId, entry);
    }
    return entries;
  }
}
