/** Envoy's secret discovery service, v3. No security header is needed. */
import { toGrpcStatus } from "../../lib/grpc-status.ts";
import type { Random } from "../../lib/random.ts";
import type { Method } from "../../lib/rpc/transport.ts";
import type { WorkloadCall } from "../guard.ts";
import type { ConnectedPeer } from "../peer.ts";
import type { Conversation, ConversationDeps, SdsOptions } from "./conversation.ts";
import { Delta } from "./delta.ts";
import { decodeDiscovery, MAX_REQUEST } from "./requests.ts";
import { SecretEncoder } from "./secret-encoder.ts";
import { SecretFetch, SecretStream, type SecretStreamDeps } from "./secret-stream.ts";
import { StateOfTheWorld } from "./state-of-the-world.ts";

export type { SdsOptions } from "./conversation.ts";

/** Full name of the service. */
export const SDS_SERVICE = "envoy.service.secret.v3.SecretDiscoveryService";

/** Bytes of a nonce, and nonces that are drawn at once: to ask the system for each takes longer than the rest of an answer. */
const NONCE_BYTES = 4;
const NONCES_AT_ONCE = 256;

/** What the service needs. */
export interface SdsDeps extends SecretStreamDeps {
  readonly random: Random;
}

/** `StreamSecrets`, `DeltaSecrets` and `FetchSecrets`. */
export function sdsMethods(deps: SdsDeps, options: SdsOptions): [name: string, method: Method<ConnectedPeer>][] {
  const conversations: ConversationDeps = {
    options,
    encoder: new SecretEncoder(options),
    nonce: nonces(deps.random),
  };
  return [
    ["StreamSecrets", streaming(deps, () => new StateOfTheWorld(conversations))],
    ["DeltaSecrets", streaming(deps, () => new Delta(conversations))],
    ["FetchSecrets", { kind: "single", maxRequest: MAX_REQUEST, run: fetching(deps, conversations) }],
  ];
}

function nonces(random: Random): () => string {
  let drawn = Buffer.alloc(0);
  return () => {
    if (drawn.length === 0) drawn = Buffer.from(random.bytes(NONCES_AT_ONCE * NONCE_BYTES));
    const nonce = drawn.toString("hex", 0, NONCE_BYTES);
    drawn = drawn.subarray(NONCE_BYTES);
    return nonce;
  };
}

/** The caller is attested while its first request is on the way. */
function streaming(deps: SdsDeps, begin: () => Conversation): Method<ConnectedPeer> {
  return {
    kind: "bidi",
    maxRequest: MAX_REQUEST,
    open(call) {
      const stream = new SecretStream(deps, call, begin());
      stream.start();
      return { message: (bytes) => stream.message(bytes), end: () => stream.finish() };
    },
  };
}

function fetching(deps: SdsDeps, conversations: ConversationDeps) {
  return (call: WorkloadCall, bytes: Uint8Array): void => {
    try {
      new SecretFetch(deps.host, call, decodeDiscovery(bytes), conversations).start();
    } catch (error) {
      const { code, message } = toGrpcStatus(error);
      call.end(code, message);
    }
  };
}
