/** `spire.api.agent.delegatedidentity.v1`: identities of other workloads, for callers who are trusted with them. */
import {
  FetchJWTSVIDsRequest,
  FetchJWTSVIDsResponse,
  SubscribeToJWTBundlesRequest,
  SubscribeToX509BundlesRequest,
  SubscribeToX509SVIDsRequest,
} from "../gen/spire/api/agent/delegatedidentity/v1/delegatedidentity.ts";
import type { Clock } from "../lib/clock.ts";
import { type AgentError, publicError } from "../lib/errors.ts";
import type { Histogram, Metrics } from "../lib/metrics.ts";
import type { Method } from "../lib/rpc/transport.ts";
import { type MessageCodec, type RequestCodec, serverStream, type TypedOptions, unary } from "../lib/rpc/typed.ts";
import type { AuthorizedEntry } from "../spiffe/entry.ts";
import type { SpiffeId } from "../spiffe/id.ts";
import { readAudience } from "../workload-api/jwt.ts";
import type { ConnectedPeer } from "../workload-api/peer.ts";
import type { IdentitySource, WorkloadUpdate } from "../workload-api/ports.ts";
import { Delegate, untilSynced } from "./caller.ts";
import { encodeJwtBundles, encodeX509Bundles, encodeX509Svids, isDelegable, jwtMessage } from "./delegated-encoder.ts";
import type { AdminSource, HeldBundles } from "./ports.ts";
import { type AttestProcess, Subject } from "./subject.ts";

/** Full name of the service. */
export const DELEGATED_IDENTITY_SERVICE = "spire.api.agent.delegatedidentity.v1.DelegatedIdentity";

/** What the service is made of. */
export interface DelegatedIdentityDeps {
  readonly identities: IdentitySource<ConnectedPeer>;
  readonly source: Pick<AdminSource, "bundles">;
  readonly attestProcess: AttestProcess;
  /** `authorized_delegates`. */
  readonly delegates: ReadonlySet<SpiffeId>;
  readonly clock: Clock;
  readonly metrics: Metrics;
}

/** SPIRE's name, as all metrics have it. */
const FIRST_UPDATE = "delegated_identity_api_subscribe_x509_svids_first_update_elapsed_time";

/** Messages that are encoded already. */
const ENCODED: MessageCodec<Uint8Array> = { encode: (bytes) => ({ finish: () => bytes }), decode: (bytes) => bytes };

/** The four methods. None asks for the Workload API's security header. */
export function delegatedIdentityMethods(
  deps: DelegatedIdentityDeps,
  options: TypedOptions,
): [path: string, method: Method<ConnectedPeer>][] {
  const firstUpdate = deps.metrics.histogram(FIRST_UPDATE, {
    help: "From a delegate's call for X509-SVIDs to the first one (milliseconds).",
  });
  const bundles = <T>(request: RequestCodec<T>, encode: (bundles: HeldBundles) => Uint8Array): Method<ConnectedPeer> =>
    serverStream<ConnectedPeer, T, Uint8Array>(
      { request, response: ENCODED },
      (_request, { peer }, signal) => distinct(bundleMessages(deps, peer, encode, signal)),
      options,
    );
  const methods: [name: string, method: Method<ConnectedPeer>][] = [
    [
      "SubscribeToX509SVIDs",
      serverStream<ConnectedPeer, SubscribeToX509SVIDsRequest, Uint8Array>(
        { request: SubscribeToX509SVIDsRequest, response: ENCODED },
        (request, { peer }, signal) => svidMessages({ ...deps, firstUpdate }, peer, request, signal),
        options,
      ),
    ],
    ["SubscribeToX509Bundles", bundles(SubscribeToX509BundlesRequest, encodeX509Bundles)],
    [
      "FetchJWTSVIDs",
      unary<ConnectedPeer, FetchJWTSVIDsRequest, FetchJWTSVIDsResponse>(
        { request: FetchJWTSVIDsRequest, response: FetchJWTSVIDsResponse },
        (request, { peer }, signal) => fetchJwtSvids(deps, peer, request, signal),
        options,
      ),
    ],
    ["SubscribeToJWTBundles", bundles(SubscribeToJWTBundlesRequest, encodeJwtBundles)],
  ];
  return methods.map(([name, method]) => [`/${DELEGATED_IDENTITY_SERVICE}/${name}`, method]);
}

function admit(deps: DelegatedIdentityDeps, peer: ConnectedPeer, signal: AbortSignal): Promise<Delegate> {
  return Delegate.admit(deps.identities, deps.delegates, peer, signal);
}

/** An empty message, not an error, for a workload without identities. */
async function* svidMessages(
  deps: DelegatedIdentityDeps & { readonly firstUpdate: Histogram },
  peer: ConnectedPeer,
  request: SubscribeToX509SVIDsRequest,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const { clock, firstUpdate } = deps;
  const startedAt = clock.monotonic();
  const delegate = await admit(deps, peer, signal);
  using _caller = endWithCaller(peer);
  using subject = await Subject.of(request, deps.attestProcess, signal);
  const cell = deps.identities.subscribe(subject.selectors);
  let last: Uint8Array | undefined;
  let measured = false;
  for await (const update of cell.watch(signal)) {
    // The first message waits for SVIDs that are on their way.
    if (update.pending && last === undefined) continue;
    const message = encodeX509Svids(update);
    if (last !== undefined && Buffer.compare(last, message) === 0) continue;
    delegate.check();
    subject.check();
    if (!measured && update.identities.some(({ entry }) => isDelegable(entry))) {
      measured = true;
      firstUpdate.observe(clock.monotonic() - startedAt);
    }
    last = message;
    yield message;
  }
  stopped(signal);
}

async function* bundleMessages(
  deps: DelegatedIdentityDeps,
  peer: ConnectedPeer,
  encode: (bundles: HeldBundles) => Uint8Array,
  signal: AbortSignal,
): AsyncGenerator<{ readonly message: Uint8Array; readonly check: () => void }> {
  const delegate = await admit(deps, peer, signal);
  using _caller = endWithCaller(peer);
  const { bundles } = deps.source;
  for await (const held of bundles.watch(signal)) {
    if (held.synced) yield { message: encode(held), check: () => delegate.check() };
  }
  stopped(signal);
}

/** Messages that differ from the one before, each checked before it goes. */
async function* distinct(
  messages: AsyncIterable<{ readonly message: Uint8Array; readonly check: () => void }>,
): AsyncGenerator<Uint8Array> {
  let last: Uint8Array | undefined;
  for await (const { message, check } of messages) {
    if (last !== undefined && Buffer.compare(last, message) === 0) continue;
    check();
    last = message;
    yield message;
  }
}

async function fetchJwtSvids(
  deps: DelegatedIdentityDeps,
  peer: ConnectedPeer,
  request: FetchJWTSVIDsRequest,
  signal: AbortSignal,
): Promise<FetchJWTSVIDsResponse> {
  const audience = readAudience(request.audience);
  const delegate = await admit(deps, peer, signal);
  using subject = await Subject.of(request, deps.attestProcess, signal);
  const cell = deps.identities.subscribe(subject.selectors);
  await untilSynced(cell, signal);
  const entries = delegableEntries(cell.value);
  const tokens = await Promise.all(
    entries.map(async (entry) => ({ entry, svid: await deps.identities.fetchJwtSvid(entry, audience, () => signal) })),
  );
  // Signing takes its time.
  delegate.check();
  subject.check();
  const left = new Map(delegableEntries(cell.value).map(({ entryId, spiffeId }) => [entryId, spiffeId]));
  const svids = tokens.filter(({ entry, svid }) => left.get(entry.entryId) === svid.spiffeId);
  if (svids.length === 0) throw noIdentity();
  return { svids: svids.map(({ entry, svid }) => jwtMessage(entry, svid)) };
}

/** Throws `PERMISSION_DENIED` when there are none. */
function delegableEntries(update: WorkloadUpdate): readonly AuthorizedEntry[] {
  const entries = update.entries.filter(isDelegable);
  if (entries.length === 0) throw noIdentity();
  return entries;
}

function noIdentity(): AgentError {
  return publicError("PERMISSION_DENIED", "no identity issued");
}

/** A stream goes with its caller, also where the connection lives on in another process. */
function endWithCaller(peer: ConnectedPeer): Disposable {
  return { [Symbol.dispose]: peer.onExit(() => {}) };
}

/** What is watched has ended, and the call has not. */
function stopped(signal: AbortSignal): void {
  if (!signal.aborted) throw publicError("UNAVAILABLE", "agent is stopping");
}
