/** One call that stays: attests its caller, then follows what the caller may have until either of them ends. */
import { GrpcCode } from "../lib/grpc-status.ts";
import type { Watchable } from "../lib/watchable.ts";
import type { Attestations, Attestee } from "./attestations.ts";
import type { WorkloadCall } from "./guard.ts";
import type { Later } from "./later.ts";
import type { WorkloadUpdate } from "./ports.ts";
import type { Pushable, PushQueue } from "./push-queue.ts";
import type { RateLimits } from "./rate-limits.ts";
import { checkUnchanged, type RefusalLog, sayFailed } from "./refusals.ts";

/** A call in progress, as the API ends it when it closes. */
export interface OpenCall {
  /** Does nothing when the call has ended. */
  end(code: GrpcCode, message: string): void;
}

/** What calls share. */
export interface StreamHost extends RefusalLog {
  readonly attestations: Attestations;
  readonly queue: PushQueue;
  /** Streams that had their first answer, until {@link Follower.watchExit}. */
  readonly staying: Later<Follower>;
  readonly limits: RateLimits;
  /** The calls in progress. */
  readonly open: Set<OpenCall>;
}

/** From {@link start} to the end of the call. Never throws: failures end the call. */
export abstract class Follower implements Pushable, Attestee, OpenCall {
  protected readonly host: StreamHost;
  protected readonly call: WorkloadCall;
  /** Gives up the attestation in progress. */
  #leave: (() => void) | undefined;
  #cell: Watchable<WorkloadUpdate> | undefined;
  #ended = false;
  #unsubscribe: (() => void) | undefined;
  #unwatch: (() => void) | undefined;

  constructor(host: StreamHost, call: WorkloadCall) {
    this.host = host;
    this.call = call;
  }

  /**
   * Told when the caller was attested, and then of each newer update. `verified`: the caller is who it was a moment
   * ago; else {@link confirm} comes before anything is sent. What it throws ends the call.
   */
  protected abstract answer(update: WorkloadUpdate, verified: boolean): void;

  /** For what is held for the call only. */
  protected closed(): void {}

  start(): void {
    const { attestations, open } = this.host;
    open.add(this);
    this.call.onCancel = () => this.#close();
    this.#leave = attestations.join(this.call.peer, this);
  }

  /** Whether the call is over. */
  get ended(): boolean {
    return this.#ended;
  }

  attested(cell: Watchable<WorkloadUpdate>, isLate: boolean): void {
    this.#leave = undefined;
    if (this.#ended) return;
    this.attempt(() => {
      this.host.limits.check(this.call, cell);
      this.#cell = cell;
      this.answer(cell.value, !isLate);
      if (this.#ended) return;
      this.#unsubscribe = cell.subscribe(() => this.host.queue.add(this));
      this.host.staying.add(this);
    });
  }

  failed(error: unknown): void {
    this.#leave = undefined;
    this.fail(error);
  }

  /** Ends the call when its caller exits; for streams that stay. Before, each push looks. */
  watchExit(): void {
    if (this.#ended) return;
    this.attempt(() => {
      this.#unwatch = this.call.peer.onExit(() => this.end(GrpcCode.UNAVAILABLE, "caller has exited"));
    });
  }

  /** Answers with what is known now; nothing before the caller was attested. */
  push(): void {
    const cell = this.#cell;
    if (this.#ended || cell === undefined) return;
    this.attempt(() => this.answer(cell.value, false));
  }

  /** Ends the call; does nothing when it has ended. */
  end(code: GrpcCode, message: string): void {
    if (this.#ended) return;
    this.#close();
    this.call.end(code, message);
  }

  /** Throws when the caller is no longer the process that connected. */
  protected confirm(): void {
    checkUnchanged(this.call);
  }

  /** Does `work`; what it throws ends the call. */
  protected attempt(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.fail(error);
    }
  }

  /** Ends the call with the status of an error. */
  protected fail(error: unknown): void {
    if (this.#ended) return;
    const { code, message } = sayFailed(this.host, this.call, error);
    this.end(code, message);
  }

  #close(): void {
    this.#ended = true;
    this.host.open.delete(this);
    this.host.queue.delete(this);
    this.host.staying.delete(this);
    this.#unsubscribe?.();
    this.#unwatch?.();
    this.#cell = undefined;
    this.#leave?.();
    this.closed();
  }
}
