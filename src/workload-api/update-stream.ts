/** One streaming call: attests its caller, then sends what the caller may have whenever that changes. */
import { AgentError, errorText } from "../lib/errors.ts";
import { GrpcCode, grpcCodeName, toGrpcStatus } from "../lib/grpc-status.ts";
import type { Logger } from "../lib/log.ts";
import type { LogShare } from "../lib/log-share.ts";
import type { Reply } from "../lib/rpc/transport.ts";
import type { Watchable } from "../lib/watchable.ts";
import type { Attestations, Attestee } from "./attestations.ts";
import type { WorkloadCall } from "./guard.ts";
import type { Later } from "./later.ts";
import type { WorkloadUpdate } from "./ports.ts";
import type { Pushable, PushQueue } from "./push-queue.ts";

/** What streams share. */
export interface StreamHost {
  readonly attestations: Attestations;
  readonly queue: PushQueue;
  /** Streams that had their first answer, until {@link UpdateStream.watchExit}. */
  readonly staying: Later<UpdateStream>;
  readonly log: Logger;
  /** Bounds what is said of callers, by uid. */
  readonly lines: LogShare<number>;
  /** The streams in progress. */
  readonly open: Set<UpdateStream>;
}

/** The encoded answer for an update; null when the caller is entitled to nothing. */
export type Encoder = (update: WorkloadUpdate) => Reply | null;

/**
 * From {@link start} to the end of the call. Complete messages only, and none that equals the one before it. The
 * first waits until all that the caller may have is there; that nothing is left is said at once.
 */
export class UpdateStream implements Pushable, Attestee {
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
    if (!verified && !this.#call.peer.isUnchanged()) {
      throw new AgentError("UNAVAILABLE", "caller is not the process that connected", {
        publicMessage: "workload attestation failed",
      });
    }
    if (reply === null) {
      this.#deny();
      return;
    }
    this.#last = reply;
    this.#call.send(reply);
  }

  #deny(): void {
    const { peer, method } = this.#call;
    const fields = { pid: peer.pid, caller_uid: peer.uid, method, registered: false };
    const { log, lines } = this.#host;
    lines.pass(peer.uid, (suppressed) => log.info("No identity issued", { ...fields, ...suppressed }));
    this.end(GrpcCode.PERMISSION_DENIED, "no identity issued");
  }

  #fail(error: unknown): void {
    if (this.#ended) return;
    const { code, message } = toGrpcStatus(error);
    const { peer, method } = this.#call;
    if (!peer.isUnchanged()) peer.refuse();
    const fields = { pid: peer.pid, caller_uid: peer.uid, method, status_code: grpcCodeName(code) };
    const { log, lines } = this.#host;
    lines.pass(peer.uid, (suppressed) =>
      log.warn("Call failed", { ...fields, error: errorText(error), ...suppressed }),
    );
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
