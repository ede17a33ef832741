/** What every request of Envoy's is checked for before it is looked at. */
import { DeltaDiscoveryRequest, DiscoveryRequest } from "../../gen/envoy/service/discovery/v3/discovery.ts";
import { publicError } from "../../lib/errors.ts";
import { SkippingReader } from "../../lib/rpc/skipping-reader.ts";
import { decodeRequest, type RequestCodec } from "../../lib/rpc/typed.ts";
import { checkFields, DELTA_DISCOVERY, DISCOVERY } from "./field-count.ts";

/** The one type of resources that there is here. */
export const SECRET_TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

/**
 * Bytes of one request. Envoy 1.40 without metadata of its own sends 61,200: each request names every extension that was
 * compiled into it.
 */
export const MAX_REQUEST = 256 * 1024;

/** Names that one stream may ask for, their length, and their length together, in characters. */
const MAX_NAMES = 1000;
const MAX_NAME = 2048;
const MAX_ALL_NAMES = 64 * 1024;

/** Envoy says much of itself, of which little matters here. */
function some<T>(codec: RequestCodec<T>): RequestCodec<T> {
  return {
    decode(whole) {
      const reader = new SkippingReader(whole.all());
      const request = codec.decode(reader);
      reader.checkEnd();
      return request;
    },
  };
}

const SOME_DISCOVERY = some(DiscoveryRequest);
const SOME_DELTA_DISCOVERY = some(DeltaDiscoveryRequest);

/** Throws `INVALID_ARGUMENT`. */
export function decodeDiscovery(bytes: Uint8Array): DiscoveryRequest {
  checkFields(bytes, DISCOVERY);
  const request = decodeRequest(SOME_DISCOVERY, bytes);
  checkType(request.typeUrl);
  checkNames(request.resourceNames);
  return request;
}

/** Throws `INVALID_ARGUMENT`. */
export function decodeDeltaDiscovery(bytes: Uint8Array): DeltaDiscoveryRequest {
  checkFields(bytes, DELTA_DISCOVERY);
  const request = decodeRequest(SOME_DELTA_DISCOVERY, bytes);
  checkType(request.typeUrl);
  checkNames(request.resourceNamesSubscribe);
  checkNames(Object.keys(request.initialResourceVersions));
  return request;
}

/** Throws `INVALID_ARGUMENT` for more names than a stream may hold. */
export function checkNames(names: Iterable<string>): void {
  let count = 0;
  let length = 0;
  for (const name of names) {
    count++;
    length += name.length;
    if (name.length > MAX_NAME) {
      throw publicError("INVALID_ARGUMENT", `resource name is longer than ${MAX_NAME} characters`);
    }
  }
  if (count > MAX_NAMES) throw publicError("INVALID_ARGUMENT", `more than ${MAX_NAMES} resource names`);
  if (length > MAX_ALL_NAMES) {
    throw publicError("INVALID_ARGUMENT", `resource names are longer than ${MAX_ALL_NAMES} characters together`);
  }
}

/** The service has one type, so that naming none names it. */
function checkType(typeUrl: string): void {
  if (typeUrl === "" || typeUrl === SECRET_TYPE) return;
  throw publicError("INVALID_ARGUMENT", `unsupported resource type ${JSON.stringify(typeUrl.slice(0, 200))}`);
}
