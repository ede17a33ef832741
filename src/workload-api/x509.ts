/** The X.509 methods of the Workload API. */
import { X509BundlesRequest, X509SVIDRequest } from "../gen/workload/workload.ts";
import { publicError } from "../lib/errors.ts";
import type { Method } from "../lib/rpc/transport.ts";
import type { ConnectedPeer } from "./peer.ts";
import { hasIdentity, isSynced } from "./served.ts";
import { type Encoder, type StreamHost, streaming } from "./update-stream.ts";
import { X509Encoder } from "./x509-encoder.ts";

/** How the X.509 methods behave. */
export interface X509Options {
  /** Whether callers without an identity get the bundle of our own trust domain. */
  readonly allowUnauthenticatedVerifiers: boolean;
}

const LAPSED = "the X.509-SVID has expired and could not be renewed yet";

/** `FetchX509SVID` and `FetchX509Bundles`. */
export function x509Methods(host: StreamHost, options: X509Options): [name: string, method: Method<ConnectedPeer>][] {
  const encoder = new X509Encoder();
  const svids: Encoder = (update) => {
    const reply = encoder.svids(update);
    // The caller is still entitled to one, and should come again.
    if (reply === null && update.lapsed) throw publicError("UNAVAILABLE", LAPSED);
    return reply;
  };
  const bundles: Encoder = (update) =>
    options.allowUnauthenticatedVerifiers || hasIdentity(update) ? encoder.bundles(update) : null;
  return [
    // The first message has all that the caller may have.
    ["FetchX509SVID", streaming(host, X509SVIDRequest, svids, ({ pending }) => !pending)],
    ["FetchX509Bundles", streaming(host, X509BundlesRequest, bundles, isSynced)],
  ];
}
