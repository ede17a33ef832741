/** Sends every message of a call in order, waiting while the peer reads slowly. */
import { type Call, Reply } from "./transport.ts";

/**
 * Takes over `onDrain` of its call. `Call.send` alone replaces what the peer has not read, which suits states;
 * this suits lists, where each message counts.
 */
export class LosslessSender {
  readonly #call: Call<unknown>;
  readonly #signal: AbortSignal;
  #full = false;
  #wake: (() => void) | undefined;

  constructor(call: Call<unknown>, signal: AbortSignal) {
    this.#call = call;
    this.#signal = signal;
    const wake = (): void => {
      this.#full = false;
      this.#wake?.();
    };
    call.onDrain = wake;
    signal.addEventListener("abort", wake, { once: true });
  }

  /** Resolves when the next message may come. Throws the signal's reason once the call is cancelled. */
  async send(bytes: Uint8Array): Promise<void> {
    this.#signal.throwIfAborted();
    this.#full = !this.#call.send(new Reply(bytes));
    while (this.#full) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#wake = undefined;
    this.#signal.throwIfAborted();
  }
}
