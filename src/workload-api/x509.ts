/** The X.509 methods of the Workload API. */
import { X509BundlesRequest, X509SVIDRequest } from "../gen/workload/workload.ts";
import { toGrpcStatus } from "../lib/grpc-status.ts";
import type { Method } from "../lib/rpc/transport.ts";
import { decodeRequest, type MessageCodec } from "../lib/rpc/typed.ts";
import { guarded } from "./guard.ts";
import type { ConnectedPeer } from "./peer.ts";
import { type Encoder, type StreamHost, UpdateStream } from "./update-stream.ts";
import { hasIdentity, X509Encoder } from "./x509-encoder.ts";

/** How the X.509 methods behave. */
export interface X509Options {
  /** Whether callers without an identity get the bundle of our own trust domain. */
  readonly allowUnauthenticatedVerifiers: boolean;
}

/** `FetchX509SVID` and `FetchX509Bundles`. */
export function x509Methods(host: StreamHost, options: X509Options): [name: string, method: Method<ConnectedPeer>][] {
  const encoder = new X509Encoder();
  const bundles: Encoder = (update) =>
    options.allowUnauthenticatedVerifiers || hasIdentity(update) ? encoder.bundles(update) : null;
  return [
    ["FetchX509SVID", streaming(host, X509SVIDRequest, (update) => encoder.svids(update))],
    ["FetchX509Bundles", streaming(host, X509BundlesRequest, bundles)],
  ];
}

function streaming(host: StreamHost, codec: MessageCodec<unknown>, encode: Encoder): Method<ConnectedPeer> {
  return guarded((call, request) => {
    try {
      if (request.length > 0) decodeRequest(codec, request);
    } catch (error) {
      const { code, message } = toGrpcStatus(error);
      call.end(code, message);
      return;
    }
    new UpdateStream(host, call, encode).start();
  });
}
