/** The receiving half of one RPC on grpc-js: reads requests one at a time and hands them to the method. */
import type { Metadata, ServerInterceptingCallInterface } from "@grpc/grpc-js";
import { GrpcCode } from "../grpc-status.ts";
import type { GrpcJsCall } from "./grpc-js-call.ts";
import type { BidiHandler, Method } from "./transport.ts";

/** What the library tells a call. */
type InnerListener = Parameters<ServerInterceptingCallInterface["start"]>[0];

/** For a method that takes one request: runs it once the peer has said that no more comes. */
export class SingleListener<P> implements InnerListener {
  readonly #call: GrpcJsCall<P>;
  readonly #inner: ServerInterceptingCallInterface;
  readonly #method: Extract<Method<P>, { kind: "single" }>;
  #request: Uint8Array | undefined;

  constructor(
    call: GrpcJsCall<P>,
    inner: ServerInterceptingCallInterface,
    method: Extract<Method<P>, { kind: "single" }>,
  ) {
    this.#call = call;
    this.#inner = inner;
    this.#method = method;
  }

  onReceiveMetadata(metadata: Metadata): void {
    if (!this.#call.begin(metadata)) return;
    this.#call.guarded(() => readWhen(this.#method.open?.(this.#call), this.#call, this.#inner));
  }

  onReceiveMessage(bytes: Uint8Array): void {
    if (this.#call.ended) return;
    if (this.#request !== undefined) {
      this.#call.end(GrpcCode.UNIMPLEMENTED, "method takes a single request message");
      return;
    }
    this.#request = bytes;
    this.#inner.startRead();
  }

  onReceiveHalfClose(): void {
    if (this.#call.ended) return;
    const request = this.#request;
    if (request === undefined) {
      this.#call.end(GrpcCode.UNIMPLEMENTED, "method takes a request message");
      return;
    }
    this.#request = undefined;
    this.#call.guarded(() => this.#method.run(this.#call, request));
  }

  /** The library also says so after every normal end. */
  onCancel(): void {
    this.#call.close();
  }
}

/** For a bidirectional method. */
export class BidiListener<P> implements InnerListener {
  readonly #call: GrpcJsCall<P>;
  readonly #inner: ServerInterceptingCallInterface;
  readonly #method: Extract<Method<P>, { kind: "bidi" }>;
  #handler: BidiHandler | undefined;

  constructor(
    call: GrpcJsCall<P>,
    inner: ServerInterceptingCallInterface,
    method: Extract<Method<P>, { kind: "bidi" }>,
  ) {
    this.#call = call;
    this.#inner = inner;
    this.#method = method;
  }

  onReceiveMetadata(metadata: Metadata): void {
    if (!this.#call.begin(metadata)) return;
    this.#call.guarded(() => {
      this.#handler = this.#method.open(this.#call);
      readWhen(this.#handler.ready, this.#call, this.#inner);
    });
  }

  onReceiveMessage(bytes: Uint8Array): void {
    if (this.#call.ended) return;
    this.#call.guarded(() => {
      const busy = this.#handler?.message(bytes);
      if (busy === undefined) this.#inner.startRead();
      else void busy.then(() => this.#inner.startRead());
    });
  }

  onReceiveHalfClose(): void {
    // A reset looks like the end of the request at first; a moment later it is known to be one.
    setImmediate(() => {
      if (!this.#call.ended) this.#call.guarded(() => this.#handler?.end());
    });
  }

  /** The library also says so after every normal end. */
  onCancel(): void {
    this.#call.close();
  }
}

/** Begins to read the peer's messages, at once or when the method says so. */
function readWhen(
  ready: Promise<void> | void,
  call: { readonly ended: boolean },
  inner: Pick<ServerInterceptingCallInterface, "startRead">,
): void {
  if (ready === undefined) inner.startRead();
  else void ready.then(() => call.ended || inner.startRead());
}
