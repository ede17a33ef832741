/** The server's API: every method run with changed requests, those of nodes that nobody knows yet among them. */
import { mutateParts, packFields, unpackFields } from "../../../scripts/fuzz/mutate-fields.ts";
import { type FuzzTarget, holds } from "../../../scripts/fuzz/target.ts";
import { mutateProtobuf } from "../../../scripts/fuzz/tree-protobuf.ts";
import * as healthApi from "../../../src/gen/grpc/health/v1/health.ts";
import * as nodesApi from "../../../src/gen/holdfast/server/v1/nodes.ts";
import * as reserveApi from "../../../src/gen/holdfast/server/v1/reserve.ts";
import * as agentApi from "../../../src/gen/spire/api/server/agent/v1/agent.ts";
import * as bundleApi from "../../../src/gen/spire/api/server/bundle/v1/bundle.ts";
import * as debugApi from "../../../src/gen/spire/api/server/debug/v1/debug.ts";
import * as entryApi from "../../../src/gen/spire/api/server/entry/v1/entry.ts";
import * as authorityApi from "../../../src/gen/spire/api/server/localauthority/v1/localauthority.ts";
import * as loggerApi from "../../../src/gen/spire/api/server/logger/v1/logger.ts";
import * as svidApi from "../../../src/gen/spire/api/server/svid/v1/svid.ts";
import { findAgentError } from "../../../src/lib/errors.ts";
import { tables } from "../../../src/server/api/tables.ts";
import { bundleToMessage } from "../../../src/server/api/wire-bundle.ts";
import { AGENT, contextOf, SERVICES } from "../seeds/server-world.ts";
import { UPDATE } from "../seeds/world.ts";
import { LEAF, REQUESTS, SPKIS, TRUST_DOMAIN } from "../seeds/x509.ts";
import { codecsOf, FuzzCall } from "./calls.ts";

const codecs = codecsOf(
  agentApi.AgentService,
  bundleApi.BundleService,
  entryApi.EntryService,
  svidApi.SVIDService,
  authorityApi.LocalAuthorityService,
  nodesApi.NodesService,
  reserveApi.ReserveService,
  loggerApi.LoggerService,
  debugApi.DebugService,
  healthApi.HealthService,
);
/** Makers of messages, by name. */
const MESSAGES: Readonly<Record<string, unknown>> = {
  ...agentApi,
  ...bundleApi,
  ...entryApi,
  ...svidApi,
  ...authorityApi,
  ...nodesApi,
  ...reserveApi,
  ...loggerApi,
  ...debugApi,
  ...healthApi,
  CheckRequest: healthApi.HealthCheckRequest,
};
const { local } = tables(SERVICES);
/** Watch streams ask nothing; what is not built yet does not read what it is asked. */
const paths = [...local.keys()].filter(
  (path) => codecs.has(path) && !/Watch|Publish|Downstream|Health\/List/.test(path),
);

const id = { trustDomain: TRUST_DOMAIN, path: "/workload" };
const agent = { trustDomain: TRUST_DOMAIN, path: AGENT.slice(`spiffe://${TRUST_DOMAIN}`.length) };
const selectors = [{ type: "unix", value: "uid:0" }];
const [csr = new Uint8Array()] = REQUESTS;
const [publicKey = new Uint8Array()] = SPKIS;
const entry = {
  id: "entry-1",
  spiffeId: id,
  parentId: agent,
  selectors,
  federatesWith: ["other.test"],
  dnsNames: ["a.example.org", "*.b.example.org"],
  hint: "h",
  x509SvidTtl: 60,
  additionalAttributes: { jwtSvidIncludeJti: true },
};
const foreign = [...UPDATE.federatedBundles.values()].map((bundle) => bundleToMessage(bundle));
const mask = {
  spiffeId: true,
  revisionNumber: true,
  selectors: true,
  x509Authorities: true,
  jwtAuthorities: true,
  banned: true,
};
const matches = { bySelectors: { selectors, match: 2 }, byFederatesWith: { trustDomains: ["other.test"], match: 3 } };

/** One request of each method that takes anything, by the end of its path; two for a stream. */
const SEEDS: readonly (readonly [end: string, ...requests: readonly object[]])[] = [
  [
    "/AttestAgent",
    { step: { $case: "params", value: { data: { type: "fuzz", payload: Buffer.of(1) }, params: { csr } } } },
    { step: { $case: "challengeResponse", value: Buffer.of(2) } },
  ],
  ["/RenewAgent", { params: { csr } }],
  ["/PostStatus", { agentVersion: "1.2.3" }],
  ["/CountAgents", { filter: { bySelectorMatch: { selectors, match: 1 }, byBanned: false } }],
  ["/ListAgents", { filter: { byExpiresBefore: "2026-01-02 15:04:05 -0700 -07" }, outputMask: mask, pageSize: 2 }],
  ["/GetAgent", { id: agent, outputMask: mask }],
  ["/DeleteAgent", { id: agent }],
  ["/BanAgent", { id: agent }],
  ["/CreateJoinToken", { ttl: 60, token: "t", agentId: id }],
  ["/GetNodeFacts", { id: agent }],
  ["/GetBundle", { outputMask: mask }],
  ["/GetFederatedBundle", { trustDomain: "other.test" }],
  ["/AppendBundle", { x509Authorities: [{ asn1: LEAF }], jwtAuthorities: [{ publicKey, keyId: "k", expiresAt: 5n }] }],
  ["/ListFederatedBundles", { pageSize: 1, pageToken: "x" }],
  ["/BatchCreateFederatedBundle", { bundle: [{ ...foreign[0], trustDomain: "new.test" }] }],
  ["/BatchUpdateFederatedBundle", { bundle: foreign, inputMask: mask }],
  ["/BatchSetFederatedBundle", { bundle: foreign, outputMask: mask }],
  ["/BatchDeleteFederatedBundle", { trustDomains: ["other.test"], mode: 2 }],
  ["/GetAuthorizedEntries", { outputMask: mask }],
  ["/SyncAuthorizedEntries", { outputMask: mask, ids: [] }, { ids: ["entry-1"] }],
  ["/CountEntries", { filter: { byHint: "h", ...matches } }],
  ["/ListEntries", { filter: { bySpiffeId: id, byParentId: agent, ...matches }, pageSize: 3, outputMask: mask }],
  ["/GetEntry", { id: "entry-1" }],
  ["/BatchCreateEntry", { entries: [entry], outputMask: mask }],
  ["/BatchUpdateEntry", { entries: [entry], inputMask: mask }],
  ["/BatchDeleteEntry", { ids: ["entry-1", "x"] }],
  ["/BatchNewX509SVID", { params: [{ entryId: "entry-1", csr }] }],
  ["/NewJWTSVID", { entryId: "entry-1", audience: ["a"] }],
  ["/NewJWTSVIDReserve", { entryId: "plain", audience: ["a"] }],
  ["/BatchNewWITSVID", { params: [{ entryId: "entry-1", publicKey, signingAlgorithm: "ES256" }] }],
  ["/MintX509SVID", { csr, ttl: 60 }],
  ["/MintJWTSVID", { id, audience: ["a", "b"], ttl: 60 }],
  ["/MintWITSVID", { id, publicKey, signingAlgorithm: "ES256", ttl: 60 }],
  ["/ActivateJWTAuthority", { authorityId: "a" }],
  ["/TaintX509Authority", { authorityId: "a" }],
  ["/RevokeWITAuthority", { authorityId: "x" }],
  ["/SetLogLevel", { newLevel: 5 }],
  ["debug.v1.Debug/GetInfo", {}],
  ["Health/Check", {}],
];

/** Every method. */
export const serverApi: FuzzTarget = {
  name: "server-api",
  about: "requests of the server's API, those of agents and of peers that nobody knows among them",
  covers: ["/src/server/", "/src/spiffe/", "/src/pki/csr.ts"],
  maxBytes: 60_000,
  seeds: () =>
    SEEDS.map(([end, ...requests]) => {
      const at = paths.findIndex((path) => path.endsWith(end));
      holds(at >= 0, `there is a method ${end}`);
      const path = paths[at] ?? "";
      return packFields({ flags: at, parts: requests.map((one) => encoded(path, one)) });
    }),
  mutate: mutateParts(mutateProtobuf, mutateProtobuf),
  run: async (input) => {
    const { flags, parts } = unpackFields(input, 2);
    const path = paths[flags % paths.length] ?? "";
    const [method, codec] = [local.get(path), codecs.get(path)];
    holds(method !== undefined && codec !== undefined, `there is a method ${path}`);
    const context = contextOf(path);
    const call = new FuzzCall(context, path);
    await call.run(method, parts);
    const [unexpected] = context.failures.filter((error) => findAgentError(error) === undefined);
    if (unexpected !== undefined) throw unexpected;
    return call.judge(codec, parts[0] ?? new Uint8Array());
  },
};

/** As its own encoder writes it. */
function encoded(path: string, message: object): Uint8Array {
  const maker = MESSAGES[`${path.split("/")[2]}Request`] as {
    fromPartial(message: object): unknown;
    encode(message: unknown): { finish(): Uint8Array };
  };
  return maker.encode(maker.fromPartial(message)).finish();
}
