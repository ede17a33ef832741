/** What generated messages look like on the wire, against bytes written by hand. */

import { describe, expect, test } from "vitest";
import { Secret } from "../../src/gen/envoy/extensions/transport_sockets/tls/v3/secret.ts";
import { DiscoveryRequest, DiscoveryResponse } from "../../src/gen/envoy/service/discovery/v3/discovery.ts";
import { RetryInfo } from "../../src/gen/google/rpc/error_details.ts";
import { Status } from "../../src/gen/google/rpc/status.ts";
import { HealthCheckResponse, HealthCheckResponse_ServingStatus } from "../../src/gen/grpc/health/v1/health.ts";
import { ServerReflectionResponse } from "../../src/gen/grpc/reflection/v1/reflection.ts";
import { WatchAuthorizedResponse } from "../../src/gen/holdfast/server/v1/watch.ts";
import {
  AttestAgentRequest,
  AttestAgentResponse,
  CountAgentsRequest,
} from "../../src/gen/spire/api/server/agent/v1/agent.ts";
import { AppendBundleRequest } from "../../src/gen/spire/api/server/bundle/v1/bundle.ts";
import { SyncAuthorizedEntriesResponse } from "../../src/gen/spire/api/server/entry/v1/entry.ts";
import { Bundle } from "../../src/gen/spire/api/types/bundle.ts";
import { Entry, EntryMask } from "../../src/gen/spire/api/types/entry.ts";
import {
  FederationRelationship,
  FederationRelationshipMask,
} from "../../src/gen/spire/api/types/federationrelationship.ts";
import {
  type DeepPartial,
  type MessageFns,
  PermissionDeniedDetails,
  PermissionDeniedDetails_Reason,
} from "../../src/gen/spire/api/types/status.ts";
import { ValidateJWTSVIDResponse, WITBundlesResponse, X509SVIDResponse } from "../../src/gen/workload/workload.ts";

interface WireCase {
  readonly name: string;
  /** Hex of the message as encoded. */
  encode(): string;
  /** The decoded bytes, and the same message completed with defaults. */
  decode(): { readonly actual: unknown; readonly expected: unknown };
  readonly hex: string;
}

/** `wire` is hex; blanks are for reading. */
function wire<T>(name: string, codec: MessageFns<T>, message: DeepPartial<T>, wireHex: string): WireCase {
  const hex = wireHex.replaceAll(" ", "");
  return {
    name,
    hex,
    encode: () => Buffer.from(codec.encode(codec.fromPartial(message)).finish()).toString("hex"),
    decode: () => ({ actual: codec.decode(Buffer.from(hex, "hex")), expected: codec.fromPartial(message) }),
  };
}

const ascii = (text: string): string => Buffer.from(text, "ascii").toString("hex");
const bytes = (hex: string): Buffer => Buffer.from(hex, "hex");

const cases: readonly WireCase[] = [
  wire("Entry: x509_svid_ttl is 5", Entry, { x509SvidTtl: 3600 }, "28 901c"),
  wire("Entry: jwt_svid_ttl is 13", Entry, { jwtSvidTtl: 300 }, "68 ac02"),
  wire("Entry: revision_number is 11, 64 bits", Entry, { revisionNumber: 2n ** 62n }, "58 808080808080808040"),
  wire("Entry: store_svid is 12", Entry, { storeSvid: true }, "60 01"),
  wire("Entry: hint is 14", Entry, { hint: "db" }, "72 02 6462"),
  wire("Entry: created_at is 15", Entry, { createdAt: 1n }, "78 01"),
  wire(
    "Entry: additional_attributes is 16",
    Entry,
    { additionalAttributes: { disableX509SvidPrefetch: true, jwtSvidIncludeJti: true } },
    "8201 04 0801 1001",
  ),
  wire("Entry: empty additional_attributes is still there", Entry, { additionalAttributes: {} }, "8201 00"),
  wire("Entry: negative int64 takes ten bytes", Entry, { expiresAt: -1n }, "48 ffffffffffffffffff01"),
  wire(
    "Entry: parent and its parts",
    Entry,
    { parentId: { trustDomain: "td", path: "/a" } },
    "1a 08 0a 02 7464 12 02 2f61",
  ),
  wire(
    "EntryMask: numbers are those of Entry",
    EntryMask,
    { x509SvidTtl: true, additionalAttributes: true },
    "28 01 8001 01",
  ),
  wire(
    "FederationRelationshipMask: numbers are its own",
    FederationRelationshipMask,
    { bundleEndpointUrl: true, bundleEndpointProfile: true, trustDomainBundle: true },
    "08 01 10 01 18 01",
  ),
  wire(
    "FederationRelationship: https_web is 3, although empty",
    FederationRelationship,
    { bundleEndpointProfile: { $case: "httpsWeb", value: {} } },
    "1a 00",
  ),
  wire(
    "FederationRelationship: https_spiffe is 4",
    FederationRelationship,
    { bundleEndpointProfile: { $case: "httpsSpiffe", value: { endpointSpiffeId: "x" } } },
    "22 03 0a 01 78",
  ),
  wire(
    "Bundle: wit_authorities is 6",
    Bundle,
    { witAuthorities: [{ keyId: "k", tainted: true }] },
    "32 05 12 01 6b 20 01",
  ),
  wire("Bundle: sequence_number is unsigned", Bundle, { sequenceNumber: 2n ** 64n - 1n }, "28 ffffffffffffffffff01"),
  wire(
    "Bundle: an X.509 authority",
    Bundle,
    { x509Authorities: [{ asn1: bytes("3000"), tainted: true }] },
    "12 06 0a 02 3000 10 01",
  ),
  wire(
    "AppendBundleRequest: wit_authorities is 4, after the mask",
    AppendBundleRequest,
    { outputMask: {}, witAuthorities: [{}] },
    "1a 00 22 00",
  ),
  wire(
    "X509SVIDResponse: federated_bundles",
    X509SVIDResponse,
    { federatedBundles: { "spiffe://td": bytes("0102") } },
    `1a 11 0a 0b ${ascii("spiffe://td")} 12 02 0102`,
  ),
  wire(
    "X509SVIDResponse: an SVID",
    X509SVIDResponse,
    { svids: [{ spiffeId: "a", x509Svid: bytes("01"), x509SvidKey: bytes("02"), bundle: bytes("03"), hint: "h" }] },
    "0a 0f 0a 01 61 12 01 01 1a 01 02 22 01 03 2a 01 68",
  ),
  wire(
    "WITBundlesResponse: values are text",
    WITBundlesResponse,
    { bundles: { a: "{}" } },
    "0a 07 0a 01 61 12 02 7b7d",
  ),
  wire(
    "ValidateJWTSVIDResponse: claims",
    ValidateJWTSVIDResponse,
    { claims: { a: ["b"], c: 1, d: null } },
    "12 27 0a0c 0a0161 1207 3205 0a03 1a0162 0a0e 0a0163 1209 11000000000000f03f 0a07 0a0164 1202 0800",
  ),
  wire(
    "AttestAgentRequest: params",
    AttestAgentRequest,
    { step: { $case: "params", value: { data: { type: "t", payload: bytes("01") }, params: { csr: bytes("02") } } } },
    "0a 0d 0a 06 0a 01 74 12 01 01 12 03 0a 01 02",
  ),
  wire(
    "AttestAgentRequest: challenge_response",
    AttestAgentRequest,
    { step: { $case: "challengeResponse", value: bytes("aabb") } },
    "12 02 aabb",
  ),
  wire(
    "AttestAgentRequest: an empty challenge_response is still there",
    AttestAgentRequest,
    { step: { $case: "challengeResponse", value: bytes("") } },
    "12 00",
  ),
  wire(
    "AttestAgentResponse: result",
    AttestAgentResponse,
    { step: { $case: "result", value: { svid: {}, reattestable: true } } },
    "0a 04 0a 00 10 01",
  ),
  wire(
    "AttestAgentResponse: challenge",
    AttestAgentResponse,
    { step: { $case: "challenge", value: bytes("ff") } },
    "12 01 ff",
  ),
  wire(
    "CountAgentsRequest: a filter for false is not no filter",
    CountAgentsRequest,
    { filter: { byBanned: false } },
    "0a 02 1a 00",
  ),
  wire(
    "CountAgentsRequest: a filter for true",
    CountAgentsRequest,
    { filter: { byCanReattest: true } },
    "0a 04 22 02 08 01",
  ),
  wire(
    "SyncAuthorizedEntriesResponse: a revision and more",
    SyncAuthorizedEntriesResponse,
    { entryRevisions: [{ id: "e", revisionNumber: 2n, createdAt: 3n }], more: true },
    "0a 07 0a 01 65 10 02 18 03 18 01",
  ),
  wire(
    "PermissionDeniedDetails: banned",
    PermissionDeniedDetails,
    { reason: PermissionDeniedDetails_Reason.AGENT_BANNED },
    "08 04",
  ),
  wire(
    "google.rpc.Status: a detail",
    Status,
    { code: 7, message: "no", details: [{ typeUrl: "t", value: bytes("0804") }] },
    "08 07 12 02 6e6f 1a 07 0a 01 74 12 02 0804",
  ),
  wire("google.rpc.RetryInfo", RetryInfo, { retryDelay: { seconds: 2n, nanos: 5 } }, "0a 04 08 02 10 05"),
  wire(
    "DiscoveryRequest: build version of the node",
    DiscoveryRequest,
    {
      node: {
        userAgentVersionType: {
          $case: "userAgentBuildVersion",
          value: { version: { majorNumber: 1, minorNumber: 18 } },
        },
      },
    },
    "12 08 42 06 0a 04 08 01 10 12",
  ),
  wire(
    "DiscoveryResponse: type_url is 4, nonce 5",
    DiscoveryResponse,
    { typeUrl: "t", nonce: "n" },
    "22 01 74 2a 01 6e",
  ),
  wire(
    "Secret: validation_context with a custom validator",
    Secret,
    { name: "s", type: { $case: "validationContext", value: { customValidatorConfig: { name: "v" } } } },
    "0a 01 73 22 05 62 03 0a 01 76",
  ),
  wire(
    "HealthCheckResponse: serving",
    HealthCheckResponse,
    { status: HealthCheckResponse_ServingStatus.SERVING },
    "08 01",
  ),
  wire(
    "ServerReflectionResponse: descriptors",
    ServerReflectionResponse,
    {
      validHost: "h",
      messageResponse: { $case: "fileDescriptorResponse", value: { fileDescriptorProto: [bytes("01")] } },
    },
    "0a 01 68 22 03 0a 01 01",
  ),
  wire(
    "WatchAuthorizedResponse",
    WatchAuthorizedResponse,
    { entriesRevision: 1n, bundleRevision: 2n, spreadMs: 3, heartbeat: true },
    "08 01 10 02 18 03 20 01",
  ),
];

describe("messages", () => {
  test.each(cases)("$name", (item) => {
    expect(item.encode()).toBe(item.hex);
    const { actual, expected } = item.decode();
    expect(actual).toStrictEqual(expected);
  });

  test("an unknown enum number survives decoding and encoding", () => {
    const decoded = PermissionDeniedDetails.decode(bytes("0863"));
    expect(decoded.reason).toBe(99);
    expect(Buffer.from(PermissionDeniedDetails.encode(decoded).finish())).toEqual(bytes("0863"));
  });

  test("unknown fields are skipped", () => {
    expect(PermissionDeniedDetails.decode(bytes("9a0602ffff0801")).reason).toBe(1);
  });

  test.each([
    ["a length past the end", "1205aa"],
    ["a varint without end", "0a8080"],
    ["a wire type which does not exist", "0f02"],
  ])("%s is refused", (_name, hex) => {
    expect(() => AttestAgentRequest.decode(bytes(hex))).toThrow();
  });
});
