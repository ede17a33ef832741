/** One streaming call: attests its caller, then sends what the caller may have whenever that changes. */
import { GrpcCode } from "../lib/grpc-status.ts";
import type { Method, Reply } from "../lib/rpc/transport.ts";
import { decodeRequest, type MessageCodec } from "../lib/rpc/typed.ts";
import { Follower, type StreamHost } from "./follower.ts";
import { guarded, type WorkloadCall } from "./guard.ts";
import type { ConnectedPeer } from "./peer.ts";
import type { WorkloadUpdate } from "./ports.ts";
import { sayDenied } from "./refusals.ts";

export type { OpenCall, StreamHost } from "./follower.ts";

/** The encoded answer for an update; null when the caller is entitled to nothing. */
export type Encoder = (update: WorkloadUpdate) => Reply | null;

/** A method that answers with a stream of updates. */
export function streaming(host: StreamHost, codec: MessageCodec<unknown>, encode: Encoder): Method<ConnectedPeer> {
  return guarded((call, request) => {
    if (request.length > 0) decodeRequest(codec, request);
    new UpdateStream(host, call, encode).start();
  });
}

/**
 * Complete messages only, and none that equals the one before it. The first waits until all that the caller may have
 * is there; that nothing is left is said at once.
 */
export class UpdateStream extends Follower {
  readonly #encode: Encoder;
  #last: Reply | undefined;

  constructor(host: StreamHost, call: WorkloadCall, encode: Encoder) {
    super(host, call);
    this.#encode = encode;
  }

  protected override answer(update: WorkloadUpdate, verified: boolean): void {
    const reply = this.#encode(update);
    if (update.pending && this.#last === undefined) return;
    if (reply !== null && this.#last?.bytes.equals(reply.bytes) === true) {
      this.#last = reply;
      return;
    }
    if (!verified) this.confirm();
    if (reply === null) {
      this.#deny();
      return;
    }
    this.#last = reply;
    this.call.send(reply);
  }

  protected override closed(): void {
    this.#last = undefined;
  }

  #deny(): void {
    sayDenied(this.host, this.call);
    this.end(GrpcCode.PERMISSION_DENIED, "no identity issued");
  }
}
