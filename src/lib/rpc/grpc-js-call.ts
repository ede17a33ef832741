/** The sending half of one RPC on grpc-js: drives the library's inner call without its stream objects in between. */
import { Metadata, type ServerInterceptingCallInterface } from "@grpc/grpc-js";
import type { Clock } from "../clock.ts";
import { GrpcCode } from "../grpc-status.ts";
import type { Call, Reply } from "./transport.ts";

/** What a call needs of its transport. */
export interface CallHost {
  readonly clock: Clock;
  onError(error: unknown, method: string): void;
}

/** Trailer that carries a serialised `google.rpc.Status`. */
const DETAILS_KEY = "grpc-status-details-bin";

/** Longest status message, in characters: percent-encoded it must fit into a header that every client takes. */
const MAX_MESSAGE = 1024;

/** Says that requests must not be compressed; the library would say otherwise. */
export const ACCEPTED_ENCODING = new Metadata();
ACCEPTED_ENCODING.set("grpc-accept-encoding", "identity");

/**
 * At most one message is on its way and one waits: when the peer reads slowly the waiting
 * one is replaced, so that a peer that never reads costs two messages however many are sent.
 */
export class GrpcJsCall<P> implements Call<P> {
  readonly peer: P;
  readonly method: string;
  onDrain: (() => void) | null = null;
  onCancel: (() => void) | null = null;
  onClose: (() => void) | null = null;
  /** Called with `onClose`, for the transport. */
  onReleased: (() => void) | null = null;

  readonly #host: CallHost;
  readonly #inner: ServerInterceptingCallInterface;
  #metadata: Metadata | undefined;
  #begun = false;
  #writing = false;
  #unsent: Reply | undefined;
  #ended = false;
  #disarm: (() => void) | undefined;

  constructor(host: CallHost, inner: ServerInterceptingCallInterface, method: string, peer: P) {
    this.#host = host;
    this.#inner = inner;
    this.method = method;
    this.peer = peer;
  }

  /** Whether nothing more can be sent. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Takes the peer's metadata and begins to watch the deadline. False: the call has ended, there was too much of it. */
  begin(metadata: Metadata): boolean {
    this.#metadata = metadata;
    if (isLong(metadata)) {
      this.end(GrpcCode.RESOURCE_EXHAUSTED, "metadata is too long");
      return false;
    }
    const left = this.timeLeft();
    // The library ends the call at its deadline, but tells us only once the peer has read what was sent.
    if (left !== Infinity) this.#disarm = this.#host.clock.after(left, () => this.cancel());
    return true;
  }

  meta(name: string): string | undefined {
    const values = this.#metadata?.get(name);
    if (values === undefined || values.length === 0) return undefined;
    return values.map((value) => (typeof value === "string" ? value : value.toString("base64"))).join(", ");
  }

  timeLeft(): number {
    const deadline = this.#inner.getDeadline();
    if (deadline === Infinity) return Infinity;
    return (typeof deadline === "number" ? deadline : deadline.getTime()) - this.#host.clock.now();
  }

  send(reply: Reply): boolean {
    if (this.#ended) return true;
    if (this.#writing) {
      this.#unsent = reply;
      return false;
    }
    this.#write(reply);
    return true;
  }

  end(code: GrpcCode = GrpcCode.OK, message = "", details?: Uint8Array): void {
    if (this.#ended) return;
    const unsent = this.#unsent;
    this.#finish();
    // A failure makes obsolete what the peer has not read yet; success does not.
    if (code === GrpcCode.OK && unsent !== undefined) this.#write(unsent);
    let metadata: Metadata | null = null;
    if (details !== undefined) {
      metadata = new Metadata();
      metadata.set(DETAILS_KEY, Buffer.from(details.buffer, details.byteOffset, details.byteLength));
    }
    // The library percent-encodes the text and throws on a lone surrogate.
    // oxlint-disable-next-line typescript/no-unsafe-enum-assignment -- the library's enum has the same numbers
    this.#inner.sendStatus({ code, details: shortened(message).toWellFormed(), metadata });
  }

  /** The peer is gone or its deadline passed. */
  cancel(): void {
    if (this.#ended) return;
    const { onCancel } = this;
    this.#finish();
    this.guarded(() => onCancel?.());
  }

  /** The library has let go of the call: all was sent, or the peer is gone. */
  close(): void {
    this.cancel();
    this.onReleased?.();
    this.onReleased = null;
    const { onClose } = this;
    this.onClose = null;
    this.guarded(() => onClose?.());
  }

  /** A method that throws ends its own call, nothing else. */
  guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#host.onError(error, this.method);
      this.end(GrpcCode.INTERNAL, "internal error");
    }
  }

  readonly #flushed = (): void => {
    this.#writing = false;
    const unsent = this.#unsent;
    if (unsent === undefined) return;
    this.#unsent = undefined;
    this.#write(unsent);
    this.guarded(() => this.onDrain?.());
  };

  #write(reply: Reply): void {
    if (!this.#begun) {
      this.#begun = true;
      this.#inner.sendMetadata(ACCEPTED_ENCODING);
    }
    this.#writing = true;
    this.#inner.sendMessage(reply.bytes, this.#flushed);
  }

  #finish(): void {
    this.#ended = true;
    this.#unsent = undefined;
    this.onDrain = null;
    this.onCancel = null;
    this.#disarm?.();
    // The library holds on to it until the peer, too, has ended its half of the stream.
    const metadata = this.#metadata;
    this.#metadata = undefined;
    for (const name of Object.keys(metadata?.getMap() ?? {})) metadata?.remove(name);
    // As it does to messages that it has read and nobody asked for.
    const { readQueue } = this.#inner as { readonly readQueue?: unknown };
    if (Array.isArray(readQueue)) readQueue.length = 0;
  }
}

function shortened(message: string): string {
  return message.length > MAX_MESSAGE ? `${message.slice(0, MAX_MESSAGE - 1)}…` : message;
}

/** Metadata is held as long as the call, and the library takes 64 KiB; other implementations of gRPC take 8 KiB too. */
const MOST_METADATA = 8 * 1024;

function isLong(metadata: Metadata): boolean {
  let size = 0;
  for (const [name, values] of Object.entries(metadata.toHttp2Headers())) {
    for (const value of Array.isArray(values) ? values : [values]) size += name.length + String(value).length;
  }
  return size > MOST_METADATA;
}
