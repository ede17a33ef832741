/** What Envoy says on a stream of secrets: its first request, and the acknowledgement of each answer. */
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { DiscoveryRequest, DiscoveryResponse } from "../../src/gen/envoy/service/discovery/v3/discovery.ts";
import { grpcHeaders } from "./frames.ts";

const SECRET_TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
/** Envoy's names for the caller's SVID and for the bundle of its trust domain. */
const NAMES = ["default", "ROOTCA"];
/** Extensions that are compiled into an Envoy 1.40: it names them in every request, in about 61,000 bytes. */
const EXTENSIONS = 572;

/** HEADERS of `StreamSecrets`. */
export const STREAM_SECRETS: Buffer = grpcHeaders("/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets");

/** A field of `DiscoveryRequest`, tag and length included: the node, as large as a real one. */
const NODE: Uint8Array = new BinaryWriter().uint32(18).bytes(node()).finish();

/** The first request. */
export const FIRST_REQUEST: Uint8Array = request("", "");

/** The request that says that an answer was taken over. */
export function acknowledgement(answer: Uint8Array): Uint8Array {
  const { versionInfo, nonce } = DiscoveryResponse.decode(answer);
  return request(versionInfo, nonce);
}

/** Encoded messages that follow each other are one message with the fields of all. */
function request(versionInfo: string, responseNonce: string): Uint8Array {
  const rest = DiscoveryRequest.fromPartial({
    versionInfo,
    responseNonce,
    resourceNames: NAMES,
    typeUrl: SECRET_TYPE,
  });
  return Buffer.concat([NODE, DiscoveryRequest.encode(rest).finish()]);
}

/** `envoy.config.core.v3.Node`: id 1, cluster 2, user agent 6 and 8, extensions 9. */
function node(): Uint8Array {
  const writer = new BinaryWriter();
  writer.uint32(10).string("bench").uint32(18).string("bench").uint32(50).string("envoy");
  // BuildVersion { version { major_number: 1, minor_number: 40 } }
  writer.uint32(66).bytes(new Uint8Array([10, 4, 8, 1, 16, 40]));
  for (let index = 0; index < EXTENSIONS; index++) writer.uint32(74).bytes(extension(index));
  return writer.finish();
}

/** `envoy.config.core.v3.Extension`: name 1, category 2, type URLs 6. */
function extension(index: number): Uint8Array {
  const name = `envoy.filters.http.extension_${index}`;
  return new BinaryWriter()
    .uint32(10)
    .string(name)
    .uint32(18)
    .string("envoy.filters.http")
    .uint32(50)
    .string(`${name}.v3.Configuration`)
    .finish();
}
