/** The messages of a peer as an async iterable that holds one message and makes the peer wait with the next. */

/** Written by the transport, read by a handler; one reader only. */
export class Incoming<T> implements AsyncIterable<T> {
  readonly #decode: (bytes: Uint8Array) => T;
  #held: { readonly bytes: Uint8Array; readonly taken: () => void } | undefined;
  #state: "open" | "ended" | { readonly failure: unknown } = "open";
  #wake: (() => void) | undefined;

  constructor(decode: (bytes: Uint8Array) => T) {
    this.#decode = decode;
  }

  /** Holds a message. The promise settles when it was taken, or nobody will take it any more. */
  message(bytes: Uint8Array): Promise<void> {
    if (this.#held !== undefined) throw new Error("the transport did not wait");
    return new Promise((resolve) => {
      if (this.#state !== "open") {
        resolve();
        return;
      }
      this.#held = { bytes, taken: resolve };
      this.#wake?.();
    });
  }

  /** The peer sends no more. */
  end(): void {
    if (this.#state === "open") this.#state = "ended";
    this.#wake?.();
  }

  /** The call is over: the reader gets `reason` thrown, also instead of a held message. */
  fail(reason: unknown): void {
    this.#state = { failure: reason };
    this.#held?.taken();
    this.#held = undefined;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, void> {
    for (;;) {
      if (typeof this.#state === "object") throw this.#state.failure;
      const held = this.#held;
      if (held !== undefined) {
        this.#held = undefined;
        // Before it is decoded, which may fail: nobody takes it after that.
        held.taken();
        yield this.#decode(held.bytes);
      } else if (this.#state === "ended") {
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = undefined;
      }
    }
  }
}
