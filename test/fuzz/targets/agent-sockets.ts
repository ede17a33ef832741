/** The services of the agent's two sockets, each method run with changed requests; SDS has a target of its own. */
import { mutateParts, packFields, unpackFields } from "../../../scripts/fuzz/mutate-fields.ts";
import { type FuzzTarget, holds, type Verdict } from "../../../scripts/fuzz/target.ts";
import { mutateProtobuf } from "../../../scripts/fuzz/tree-protobuf.ts";
import { DEBUG_SERVICE, debugMethods } from "../../../src/agent-admin/debug.ts";
import { DELEGATED_IDENTITY_SERVICE, delegatedIdentityMethods } from "../../../src/agent-admin/delegated-identity.ts";
import { loggerMethods } from "../../../src/agent-admin/logger.ts";
import type { AdminSource } from "../../../src/agent-admin/ports.ts";
import { statusMethods } from "../../../src/agent-admin/status.ts";
import { adminFileDescriptors, fileDescriptors } from "../../../src/gen/descriptors.ts";
import { HealthService } from "../../../src/gen/grpc/health/v1/health.ts";
import { ServerReflectionRequest, ServerReflectionService } from "../../../src/gen/grpc/reflection/v1/reflection.ts";
import { StatusService } from "../../../src/gen/holdfast/agent/v1/status.ts";
import { DebugService } from "../../../src/gen/spire/api/agent/debug/v1/debug.ts";
import {
  DelegatedIdentityService,
  FetchJWTSVIDsRequest,
  SubscribeToX509SVIDsRequest,
} from "../../../src/gen/spire/api/agent/delegatedidentity/v1/delegatedidentity.ts";
import { LoggerService } from "../../../src/gen/spire/api/agent/logger/v1/logger.ts";
import {
  JWTSVIDRequest,
  SpiffeWorkloadAPIService,
  ValidateJWTSVIDRequest,
  WITSVIDRequest,
} from "../../../src/gen/workload/workload.ts";
import { LevelControl } from "../../../src/lib/level-control.ts";
import { silentLogger } from "../../../src/lib/log.ts";
import { LogShare } from "../../../src/lib/log-share.ts";
import { noMetrics } from "../../../src/lib/metrics.ts";
import type { Method } from "../../../src/lib/rpc/transport.ts";
import type { SpiffeId } from "../../../src/spiffe/id.ts";
import type { WitSvid } from "../../../src/spiffe/svid.ts";
import type { Attestations, Attestee } from "../../../src/workload-api/attestations.ts";
import type { FairTurns } from "../../../src/workload-api/fair-turns.ts";
import { healthMethods } from "../../../src/workload-api/health.ts";
import { jwtMethods } from "../../../src/workload-api/jwt.ts";
import { Later } from "../../../src/workload-api/later.ts";
import type { ConnectedPeer } from "../../../src/workload-api/peer.ts";
import type { IdentitySource } from "../../../src/workload-api/ports.ts";
import { PushQueue } from "../../../src/workload-api/push-queue.ts";
import { RateLimits } from "../../../src/workload-api/rate-limits.ts";
import { reflectionMethods } from "../../../src/workload-api/reflection.ts";
import type { StreamHost } from "../../../src/workload-api/update-stream.ts";
import { witMethods } from "../../../src/workload-api/wit.ts";
import { x509Methods } from "../../../src/workload-api/x509.ts";
import { FakeLevel } from "../../fakes/fake-level.ts";
import { AUDIENCE, compact, TOKEN_SEEDS } from "../seeds/tokens.ts";
import { CLOCK, OWN, OWN_BUNDLE, PRIVATE_KEY, still, UPDATE, WORKLOAD } from "../seeds/world.ts";
import { type Codecs, codecsOf, FuzzCall } from "./calls.ts";

type Methods = ReadonlyMap<string, Method<ConnectedPeer>>;

/** A caller who is who it was. */
const PEER = {
  pid: 1,
  uid: 0,
  gid: 0,
  groups: [],
  isAlive: () => true,
  isUnchanged: () => true,
  refuse() {},
  rest() {},
  onExit: () => () => {},
} as unknown as ConnectedPeer;

const CELL = still(UPDATE);
const SOURCE: IdentitySource<ConnectedPeer> = {
  attest: async () => [{ type: "unix", value: "uid:0" }],
  subscribe: () => CELL,
  fetchJwtSvid: ({ spiffeId }, audience) => {
    holds(audience.length > 0 && !audience.includes(""), "a token is asked for with audiences that are none empty");
    return { spiffeId, token: "a.b.c", keyId: "a", notBefore: 0, notAfter: CLOCK.now() + 1_000 };
  },
  wits: {
    follow: () => ({
      isRefused: false,
      look: (entries) => entries.map((entry) => ({ entry, svid: witOf(entry.spiffeId), failed: false })),
      close() {},
    }),
  },
};
const witOf = (spiffeId: SpiffeId): WitSvid => ({
  spiffeId,
  token: "a.b.c",
  keyId: "a",
  privateKey: PRIVATE_KEY,
  algorithm: "ES256",
  notBefore: 0,
  notAfter: CLOCK.now() + 1_000,
});
const HOST: StreamHost = {
  attestations: {
    join(_peer: unknown, call: Attestee) {
      queueMicrotask(() => call.attested(CELL, false));
      return () => {};
    },
  } as unknown as Attestations,
  log: silentLogger,
  lines: new LogShare(CLOCK),
  queue: new PushQueue(CLOCK),
  staying: new Later(CLOCK, { withinMs: 100, work: () => {} }),
  limits: new RateLimits(CLOCK, { perSecond: new Map(), ownPid: 1 }),
  open: new Set(),
};
/** Everybody's turn is now. */
const TURNS = { run: (_uid: number, work: () => void): void => work() } as FairTurns;
const PACE = { clock: CLOCK, turns: TURNS };
const JWT = { allowUnauthenticatedVerifiers: true, allowedForeignClaims: new Set(["iss", "nested"]) };
const REFLECTED = ["SpiffeWorkloadAPI", DEBUG_SERVICE, DELEGATED_IDENTITY_SERVICE];

const workload: Methods = new Map([
  ...[...x509Methods(HOST, JWT), ...jwtMethods({ host: HOST, source: SOURCE, clock: CLOCK, turns: TURNS }, JWT)].map(
    ([name, method]): [string, Method<ConnectedPeer>] => [`/SpiffeWorkloadAPI/${name}`, method],
  ),
  ...witMethods({ host: HOST, wits: SOURCE.wits }, JWT).map(([name, method]): [string, Method<ConnectedPeer>] => [
    `/SpiffeWorkloadAPI/${name}`,
    method,
  ]),
  ...healthMethods<ConnectedPeer>(() => true),
  ...reflectionMethods<ConnectedPeer>(PACE, REFLECTED, fileDescriptors),
]);
const workloadCodecs = withReflection(codecsOf(SpiffeWorkloadAPIService, HealthService, ServerReflectionService));

const admin: Methods = adminMethods();
const adminCodecs = withReflection(
  codecsOf(DebugService, LoggerService, DelegatedIdentityService, StatusService, ServerReflectionService),
);

const TOKENS = TOKEN_SEEDS.map(({ header, claims, signature }) => compact(header, claims, signature));
const REFLECTION_SEEDS = (
  [
    { $case: "listServices", value: "" },
    { $case: "fileByFilename", value: "workload.proto" },
    { $case: "fileContainingSymbol", value: "SpiffeWorkloadAPI" },
    { $case: "fileContainingExtension", value: { containingType: "X509SVID", extensionNumber: 1 } },
    { $case: "allExtensionNumbersOfType", value: "X509SVID" },
  ] as const
).map((messageRequest) => ServerReflectionRequest.encode({ host: "h", messageRequest }).finish());

/** `SpiffeWorkloadAPI`, health and reflection. */
export const workloadApi = socket(
  "workload-api",
  "requests of the Workload API, health and reflection",
  workload,
  workloadCodecs,
  [
    ["FetchX509SVID", new Uint8Array()],
    ["FetchX509Bundles", new Uint8Array()],
    ["FetchJWTBundles", new Uint8Array()],
    ["FetchWITBundles", new Uint8Array()],
    ["FetchWITSVID", WITSVIDRequest.encode({ spiffeId: WORKLOAD }).finish()],
    ["FetchJWTSVID", JWTSVIDRequest.encode({ audience: [AUDIENCE, "b"], spiffeId: WORKLOAD }).finish()],
    ["FetchJWTSVID", JWTSVIDRequest.encode({ audience: [AUDIENCE], spiffeId: "" }).finish()],
    ...TOKENS.slice(0, 4).map((svid): [string, Uint8Array] => [
      "ValidateJWTSVID",
      ValidateJWTSVIDRequest.encode({ audience: AUDIENCE, svid }).finish(),
    ]),
    ["v1.Health/Check", new Uint8Array()],
    ...REFLECTION_SEEDS.flatMap((seed): [string, Uint8Array][] => [
      ["v1.ServerReflection/ServerReflectionInfo", seed],
      ["v1alpha.ServerReflection/ServerReflectionInfo", seed],
    ]),
  ],
);

/** Debug, Logger, DelegatedIdentity, Status and reflection. */
export const adminApi = socket("admin-api", "requests of the agent's administration socket", admin, adminCodecs, [
  ["GetInfo", new Uint8Array()],
  ["GetLogger", new Uint8Array()],
  ["SetLogLevel", Uint8Array.of(8, 6)],
  ["ResetLogLevel", new Uint8Array()],
  ["GetStatus", Uint8Array.of(8, 2)],
  [
    "SubscribeToX509SVIDs",
    SubscribeToX509SVIDsRequest.encode({ selectors: [{ type: "unix", value: "uid:0" }], pid: 0 }).finish(),
  ],
  ["SubscribeToX509Bundles", new Uint8Array()],
  ["SubscribeToJWTBundles", new Uint8Array()],
  [
    "FetchJWTSVIDs",
    FetchJWTSVIDsRequest.encode({ audience: [AUDIENCE], selectors: [{ type: "a", value: "b:c" }], pid: 0 }).finish(),
  ],
  ...REFLECTION_SEEDS.map((seed): [string, Uint8Array] => ["v1.ServerReflection/ServerReflectionInfo", seed]),
]);

function socket(
  name: string,
  about: string,
  methods: Methods,
  codecs: Codecs,
  seeds: readonly (readonly [end: string, request: Uint8Array])[],
): FuzzTarget {
  const paths = [...methods.keys()];
  return {
    name,
    about,
    covers: [`/src/${name === "admin-api" ? "agent-admin" : "workload-api"}/`, "/src/spiffe/", "/src/lib/rpc/typed.ts"],
    maxBytes: 60_000,
    seeds: () =>
      seeds.map(([end, request]) =>
        packFields({ flags: paths.findIndex((path) => path.endsWith(end)), parts: [request] }),
      ),
    mutate: mutateParts(mutateProtobuf),
    run: async (input): Promise<Verdict> => {
      const { flags, parts } = unpackFields(input, 1);
      const path = paths[flags % paths.length] ?? "";
      const [method, codec, request] = [methods.get(path), codecs.get(path), parts[0] ?? new Uint8Array()];
      holds(method !== undefined && codec !== undefined, `there is a method ${path}`);
      const call = new FuzzCall(PEER, path, "true");
      await call.run(method, [request]);
      holds(HOST.open.size === 0, "nothing is left of a call");
      return call.judge(codec, request);
    },
  };
}

function adminMethods(): Methods {
  const source: AdminSource = {
    facts: () => ({
      trustDomain: OWN,
      ...(UPDATE.identities[0] !== undefined && { svid: UPDATE.identities[0].svid }),
      bundle: OWN_BUNDLE,
      serving: true,
      connected: true,
      watching: true,
      problems: new Map([["server", "none"]]),
      outageBudgetMs: 7_200_000,
      storage: "tpm" as const,
      x509Svids: 2,
      jwtSvids: 0,
    }),
    identities: () => UPDATE.entries.map(({ entryId, spiffeId }) => ({ entryId, spiffeId, failed: false })),
    bundles: still({ synced: true, bundle: OWN_BUNDLE, federatedBundles: UPDATE.federatedBundles }),
  };
  const deps = {
    source,
    identities: SOURCE,
    attestProcess: async () => [{ type: "unix", value: "uid:0" }],
    levels: new LevelControl(new FakeLevel()),
    clock: CLOCK,
    metrics: noMetrics,
    log: silentLogger,
    delegates: new Set([WORKLOAD]),
    version: "0",
  };
  return new Map([
    ...debugMethods<ConnectedPeer>(deps, {}),
    ...loggerMethods<ConnectedPeer>(deps, {}),
    ...delegatedIdentityMethods(deps, {}),
    ...statusMethods<ConnectedPeer>(deps, {}),
    ...reflectionMethods<ConnectedPeer>(PACE, REFLECTED, adminFileDescriptors),
  ]);
}

/** Both versions of reflection have the same messages. */
function withReflection(codecs: Codecs): Codecs {
  const info = "ServerReflection/ServerReflectionInfo";
  const known = codecs.get(`/grpc.reflection.v1.${info}`);
  holds(known !== undefined, "there is reflection");
  return new Map([...codecs, [`/grpc.reflection.v1alpha.${info}`, known]]);
}
