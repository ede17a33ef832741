/** One streaming call: attests its caller, then sends what the caller may have whenever that changes. */
import { GrpcCode } from "../lib/grpc-status.ts";
import type { Method, Reply } from "../lib/rpc/transport.ts";
import { decodeRequest, type RequestCodec } from "../lib/rpc/typed.ts";
import { Follower, type StreamHost } from "./follower.ts";
import { guarded, type WorkloadCall } from "./guard.ts";
import type { ConnectedPeer } from "./peer.ts";
import type { WorkloadUpdate } from "./ports.ts";
import { sayDenied } from "./refusals.ts";

export type { OpenCall, StreamHost } from "./follower.ts";

/** The encoded answer for an update; null when the caller is entitled to nothing. */
export type Encoder = (update: WorkloadUpdate) => Reply | null;

/** What one stream tells. */
export interface Story {
  /**
   * The message for an update; null when the caller is entitled to nothing, undefined when there is nothing to say yet.
   * `isFirst`: there was none before. What it throws ends the call.
   */
  tell(update: WorkloadUpdate, isFirst: boolean): Reply | null | undefined;
  /** The call is over. */
  close?(): void;
}

/** A method that answers with a stream of updates, of which the first is one that `isReady`. */
export function streaming(
  host: StreamHost,
  codec: RequestCodec<unknown>,
  encode: Encoder,
  isReady: (update: WorkloadUpdate) => boolean,
): Method<ConnectedPeer> {
  const story: Story = {
    tell: (update, isFirst) => (isFirst && !isReady(update) ? undefined : encode(update)),
  };
  return guarded((call, request) => {
    if (request.length > 0) decodeRequest(codec, request);
    new UpdateStream(host, call, () => story).start();
  });
}

/** A method whose streams depend on their requests, or on more than their callers' updates, which `changed` says. */
export function storytelling<T>(
  host: StreamHost,
  codec: RequestCodec<T>,
  begin: (request: T) => (changed: () => void) => Story,
): Method<ConnectedPeer> {
  return guarded((call, request) => {
    new UpdateStream(host, call, begin(decodeRequest(codec, request))).start();
  });
}

/** Complete messages only, and none that equals the one before it. That nothing is left is said at once. */
export class UpdateStream extends Follower {
  readonly #story: Story;
  #last: Reply | undefined;

  constructor(host: StreamHost, call: WorkloadCall, begin: (changed: () => void) => Story) {
    super(host, call);
    this.#story = begin(() => host.queue.add(this));
  }

  protected override answer(update: WorkloadUpdate, verified: boolean): void {
    const reply = this.#story.tell(update, this.#last === undefined);
    if (reply === undefined) return;
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
    this.#story.close?.();
  }

  #deny(): void {
    sayDenied(this.host, this.call);
    this.end(GrpcCode.PERMISSION_DENIED, "no identity issued");
  }
}
