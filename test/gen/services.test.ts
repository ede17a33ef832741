/** The full method names and stream shapes of every generated service. */

import { describe, expect, test } from "vitest";
import { SecretDiscoveryServiceService } from "../../src/gen/envoy/service/secret/v3/sds.ts";
import { HealthService } from "../../src/gen/grpc/health/v1/health.ts";
import { ServerReflectionService } from "../../src/gen/grpc/reflection/v1/reflection.ts";
import { ServerReflectionService as ServerReflectionAlphaService } from "../../src/gen/grpc/reflection/v1alpha/reflection.ts";
import { NodesService } from "../../src/gen/holdfast/server/v1/nodes.ts";
import { ReserveService } from "../../src/gen/holdfast/server/v1/reserve.ts";
import { WatchService } from "../../src/gen/holdfast/server/v1/watch.ts";
import { DebugService as AgentDebugService } from "../../src/gen/spire/api/agent/debug/v1/debug.ts";
import { DelegatedIdentityService } from "../../src/gen/spire/api/agent/delegatedidentity/v1/delegatedidentity.ts";
import { LoggerService as AgentLoggerService } from "../../src/gen/spire/api/agent/logger/v1/logger.ts";
import { AgentService } from "../../src/gen/spire/api/server/agent/v1/agent.ts";
import { BundleService } from "../../src/gen/spire/api/server/bundle/v1/bundle.ts";
import { DebugService as ServerDebugService } from "../../src/gen/spire/api/server/debug/v1/debug.ts";
import { EntryService } from "../../src/gen/spire/api/server/entry/v1/entry.ts";
import { LocalAuthorityService } from "../../src/gen/spire/api/server/localauthority/v1/localauthority.ts";
import { LoggerService as ServerLoggerService } from "../../src/gen/spire/api/server/logger/v1/logger.ts";
import { SVIDService } from "../../src/gen/spire/api/server/svid/v1/svid.ts";
import { TrustDomainService } from "../../src/gen/spire/api/server/trustdomain/v1/trustdomain.ts";
import { SpiffeWorkloadAPIService } from "../../src/gen/workload/workload.ts";

interface Method {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
}

/** `Name` unary, `Name>` server stream, `Name<>` both ways. */
const services: readonly (readonly [service: string, methods: string, definition: Readonly<Record<string, Method>>])[] =
  [
    [
      "SpiffeWorkloadAPI",
      "FetchX509SVID> FetchX509Bundles> FetchJWTSVID FetchJWTBundles> ValidateJWTSVID FetchWITSVID> FetchWITBundles>",
      SpiffeWorkloadAPIService,
    ],
    ["spire.agent.debug.v1.Debug", "GetInfo", AgentDebugService],
    ["spire.api.agent.logger.v1.Logger", "GetLogger SetLogLevel ResetLogLevel", AgentLoggerService],
    [
      "spire.api.agent.delegatedidentity.v1.DelegatedIdentity",
      "SubscribeToX509SVIDs> SubscribeToX509Bundles> FetchJWTSVIDs SubscribeToJWTBundles>",
      DelegatedIdentityService,
    ],
    [
      "spire.api.server.agent.v1.Agent",
      "CountAgents ListAgents GetAgent DeleteAgent BanAgent AttestAgent<> RenewAgent CreateJoinToken PostStatus",
      AgentService,
    ],
    [
      "spire.api.server.bundle.v1.Bundle",
      "CountBundles GetBundle AppendBundle PublishJWTAuthority PublishWITAuthority ListFederatedBundles GetFederatedBundle " +
        "BatchCreateFederatedBundle BatchUpdateFederatedBundle BatchSetFederatedBundle BatchDeleteFederatedBundle",
      BundleService,
    ],
    [
      "spire.api.server.entry.v1.Entry",
      "CountEntries ListEntries GetEntry BatchCreateEntry BatchUpdateEntry BatchDeleteEntry GetAuthorizedEntries SyncAuthorizedEntries<>",
      EntryService,
    ],
    [
      "spire.api.server.svid.v1.SVID",
      "MintX509SVID MintJWTSVID MintWITSVID BatchNewX509SVID NewJWTSVID BatchNewWITSVID NewDownstreamX509CA",
      SVIDService,
    ],
    [
      "spire.api.server.trustdomain.v1.TrustDomain",
      "ListFederationRelationships GetFederationRelationship BatchCreateFederationRelationship " +
        "BatchUpdateFederationRelationship BatchDeleteFederationRelationship RefreshBundle",
      TrustDomainService,
    ],
    [
      "spire.api.server.localauthority.v1.LocalAuthority",
      "GetJWTAuthorityState PrepareJWTAuthority ActivateJWTAuthority TaintJWTAuthority RevokeJWTAuthority " +
        "GetX509AuthorityState PrepareX509Authority ActivateX509Authority TaintX509Authority TaintX509UpstreamAuthority " +
        "RevokeX509Authority RevokeX509UpstreamAuthority " +
        "GetWITAuthorityState PrepareWITAuthority ActivateWITAuthority TaintWITAuthority RevokeWITAuthority",
      LocalAuthorityService,
    ],
    ["spire.api.server.logger.v1.Logger", "GetLogger SetLogLevel ResetLogLevel", ServerLoggerService],
    ["spire.api.server.debug.v1.Debug", "GetInfo", ServerDebugService],
    [
      "envoy.service.secret.v3.SecretDiscoveryService",
      "DeltaSecrets<> StreamSecrets<> FetchSecrets",
      SecretDiscoveryServiceService,
    ],
    ["grpc.health.v1.Health", "Check List Watch>", HealthService],
    ["grpc.reflection.v1.ServerReflection", "ServerReflectionInfo<>", ServerReflectionService],
    ["grpc.reflection.v1alpha.ServerReflection", "ServerReflectionInfo<>", ServerReflectionAlphaService],
    ["holdfast.server.v1.Nodes", "GetNodeFacts", NodesService],
    ["holdfast.server.v1.Reserve", "NewJWTSVIDReserve", ReserveService],
    ["holdfast.server.v1.Watch", "WatchAuthorized>", WatchService],
  ];

const streams = (method: Method): string => `${method.requestStream ? "<" : ""}${method.responseStream ? ">" : ""}`;

describe("services have the methods of their definitions and no others (EP-17, API-03)", () => {
  test.each(services)("%s", (service, methods, definition) => {
    const actual = Object.values(definition).map((method) => `${method.path}${streams(method)}`);
    expect(actual).toStrictEqual(methods.split(" ").map((method) => `/${service}/${method}`));
  });
});

test("SVIDs are X.509, JWT or WIT documents (ID-20)", () => {
  const kinds = Object.keys(SVIDService).flatMap((name) => /(X509|JWT|WIT)Svid$/i.exec(name)?.[1]?.toLowerCase() ?? []);
  expect([...new Set(kinds)].sort()).toEqual(["jwt", "wit", "x509"]);
  expect(Object.keys(SVIDService).filter((name) => !/(X509|JWT|WIT)Svid$/i.test(name))).toEqual([
    "newDownstreamX509Ca",
  ]);
});
