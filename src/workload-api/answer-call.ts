/** One call with one answer: attests its caller, waits until enough is known, then answers. */

import { AgentError } from "../lib/errors.ts";
import { GrpcCode } from "../lib/grpc-status.ts";
import type { Reply } from "../lib/rpc/transport.ts";
import type { Watchable } from "../lib/watchable.ts";
import type { Attestee } from "./attestations.ts";
import type { WorkloadCall } from "./guard.ts";
import type { WorkloadUpdate } from "./ports.ts";
import type { Pushable } from "./push-queue.ts";
import { checkUnchanged, sayDenied, sayFailed } from "./refusals.ts";
import type { OpenCall, StreamHost } from "./update-stream.ts";

/** What a call asks. */
export interface Question {
  /** Whether it can be answered from what is known; if not, the call waits for the next update. */
  isAnswerable(update: WorkloadUpdate): boolean;
  /**
   * The answer; null when the caller is entitled to nothing. `signal` makes one that aborts when the call ends; `latest`
   * tells what the caller may have by now, for answers that take their time.
   */
  answer(
    update: WorkloadUpdate,
    signal: () => AbortSignal,
    latest: () => WorkloadUpdate,
  ): Reply | null | Promise<Reply | null>;
}

/** From {@link start} to the end of the call. */
export class AnswerCall implements Attestee, Pushable, OpenCall {
  readonly #host: StreamHost;
  readonly #call: WorkloadCall;
  readonly #question: Question;
  /** Gives up the attestation in progress. */
  #leave: (() => void) | undefined;
  #cell: Watchable<WorkloadUpdate> | undefined;
  #unsubscribe: (() => void) | undefined;
  #abort: AbortController | undefined;
  #ended = false;

  constructor(host: StreamHost, call: WorkloadCall, question: Question) {
    this.#host = host;
    this.#call = call;
    this.#question = question;
  }

  /** Never throws: failures end the call. */
  start(): void {
    const { attestations, open } = this.#host;
    open.add(this);
    this.#call.onCancel = () => this.#close();
    this.#leave = attestations.join(this.#call.peer, this);
  }

  attested(cell: Watchable<WorkloadUpdate>, isLate: boolean): void {
    this.#leave = undefined;
    if (this.#ended) return;
    try {
      this.#host.limits.check(this.#call, cell);
      const update = cell.value;
      if (this.#question.isAnswerable(update)) {
        this.#answer(cell, update, !isLate);
        return;
      }
      this.#cell = cell;
      this.#unsubscribe = cell.subscribe(() => this.#host.queue.add(this));
    } catch (error) {
      this.#fail(error);
    }
  }

  failed(error: unknown): void {
    this.#leave = undefined;
    this.#fail(error);
  }

  /** Looks whether the call can be answered by now. */
  push(): void {
    const cell = this.#cell;
    if (this.#ended || cell === undefined) return;
    try {
      const update = cell.value;
      if (!this.#question.isAnswerable(update)) return;
      this.#unsubscribe?.();
      this.#unsubscribe = undefined;
      this.#cell = undefined;
      this.#answer(cell, update, false);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Ends the call; does nothing when it has ended. */
  end(code?: GrpcCode, message?: string): void {
    if (this.#ended) return;
    this.#close();
    this.#call.end(code, message);
  }

  readonly #signal = (): AbortSignal => {
    this.#abort ??= new AbortController();
    return this.#abort.signal;
  };

  #answer(cell: Watchable<WorkloadUpdate>, update: WorkloadUpdate, verified: boolean): void {
    const answer = this.#question.answer(update, this.#signal, () => cell.value);
    if (answer instanceof Promise) void this.#later(answer);
    else this.#send(answer, verified);
  }

  async #later(answer: Promise<Reply | null>): Promise<void> {
    try {
      this.#send(await answer, false);
    } catch (error) {
      this.#fail(error);
    }
  }

  #send(reply: Reply | null, verified: boolean): void {
    if (this.#ended) return;
    if (!verified) checkUnchanged(this.#call);
    if (reply === null) {
      sayDenied(this.#host, this.#call);
      this.end(GrpcCode.PERMISSION_DENIED, "no identity issued");
      return;
    }
    this.#call.send(reply);
    this.end();
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
    this.#unsubscribe?.();
    this.#cell = undefined;
    this.#abort?.abort(new AgentError("CANCELLED", "the call has ended"));
    this.#leave?.();
  }
}
