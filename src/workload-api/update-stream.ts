/** One streaming call: attests its caller, then sends what the caller may have whenever that changes. */
import { GrpcCode } from "../lib/grpc-status.ts";
import type { Method, Reply } from "../lib/rpc/transport.ts";
import { decodeRequest, type MessageCodec } from "../lib/rpc/typed.ts";
import type { Watchable } from "../lib/watchable.ts";
import type { Attestations, Attestee } from "./attestations.ts";
import { guarded, type WorkloadCall } from "./guard.ts";
import type { Later } from "./later.ts";
import type { ConnectedPeer } from "./peer.ts";
import type { WorkloadUpdate } from "./ports.ts";
import type { Pushable, PushQueue } from "./push-queue.ts";
import type { RateLimits } from "./rate-limits.ts";
import { checkUnchanged, type RefusalLog, sayDenied, sayFailed } from "./refusals.ts";

/** A call in progress, as the API ends it when it closes. */
export interface OpenCall {
  /** Does nothing when the call has ended. */
  end(code: GrpcCode, message: string): void;
}

/** What calls share. */
export interface StreamHost extends RefusalLog {
  readonly attestations: Attestations;
  readonly queue: PushQueue;
  /** Streams that had their first answer, until {@link UpdateStream.watchExit}. */
  readonly staying: Later<UpdateStream>;
  readonly limits: RateLimits;
  /** The calls in progress. */
  readonly open: Set<OpenCall>;
}

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
 * From {@link start} to the end of the call. Complete messages only, and none that equals the one before it. The
 * first waits until all that the caller may have is there; that nothing is left is said at once.
 */
export class UpdateStream implements Pushable, Attestee, OpenCall {
  readonly #host: StreamHost;
  readonly #call: WorkloadCall;
  readonly #encode: Encoder;
  /** Gives up the attestation in progress. */
  #leave: (() => void) | undefined;
  #cell: Watchable<WorkloadUpdate> | undefined;
  #last: Reply | undefined;
  #ended = false;
  #unsubscribe: (() => void) | undefined;
  #unwatch: (() => void) | undefined;

  constructor(host: StreamHost, call: WorkloadCall, encode: Encoder) {
    this.#host = host;
    this.#call = call;
    this.#encode = encode;
  }

  /** Never throws: failures end the call. */
  start(): void {
    const { attestations, open } = this.#host;
    open.add(this);
    this.#call.onCancel = () => this.#close();
    this.#leave = attestations.join(this.#call.peer, this);
  }

  attested(cell: Watchable<WorkloadUpdate>): void {
    this.#leave = undefined;
    if (this.#ended) return;
    try {
      this.#host.limits.check(this.#call, cell);
      this.#cell = cell;
      this.#answer(cell.value, true);
      if (this.#ended) return;
      this.#unsubscribe = cell.subscribe(() => this.#host.queue.add(this));
      this.#host.staying.add(this);
    } catch (error) {
      this.#fail(error);
    }
  }

  failed(error: unknown): void {
    this.#leave = undefined;
    this.#fail(error);
  }

  /** Ends the call when its caller exits; for streams that stay. Before, each push looks. */
  watchExit(): void {
    if (this.#ended) return;
    try {
      this.#unwatch = this.#call.peer.onExit(() => this.end(GrpcCode.UNAVAILABLE, "caller has exited"));
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Sends what is new. */
  push(): void {
    if (this.#ended || this.#cell === undefined) return;
    try {
      this.#answer(this.#cell.value, false);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Ends the call; does nothing when it has ended. */
  end(code: GrpcCode, message: string): void {
    if (this.#ended) return;
    this.#close();
    this.#call.end(code, message);
  }

  #answer(update: WorkloadUpdate, verified: boolean): void {
    const reply = this.#encode(update);
    if (update.pending && this.#last === undefined) return;
    if (reply !== null && this.#last?.bytes.equals(reply.bytes) === true) {
      this.#last = reply;
      return;
    }
    if (!verified) checkUnchanged(this.#call);
    if (reply === null) {
      this.#deny();
      return;
    }
    this.#last = reply;
    this.#call.send(reply);
  }

  #deny(): void {
    sayDenied(this.#host, this.#call);
    this.end(GrpcCode.PERMISSION_DENIED, "no identity issued");
  }

  #fail(error: unknown): void {
    if (this.#ended) return;
    const { code, message } = sayFailed(this.#host, this.#call, error);
    this.end(code, message);
  }

  #close(): void {
    this.#ended = true;
    this.#host.open.delete(this);
    this.#host.queue.delete(this);
    this.#host.staying.delete(this);
    this.#unsubscribe?.();
    this.#unwatch?.();
    this.#cell = undefined;
    this.#last = undefined;
    this.#leave?.();
  }
}
