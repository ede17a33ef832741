/**
 * The seam between gRPC handlers and the HTTP/2 implementation that carries them: handlers see bytes, a peer
 * and a call, and never learn which transport it is.
 */
import type { Duplex } from "node:stream";
import type { GrpcCode } from "../grpc-status.ts";
import type { RequestAccount } from "./request-decoder.ts";

/** A message encoded once and shared by every call that sends it. */
export class Reply {
  readonly bytes: Buffer;
  /** The transport's own cached framing of `bytes`. */
  wire?: unknown;

  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
}

/** One RPC in progress. `P` is what `onConnect` returned for its connection. */
export interface Call<P> {
  readonly peer: P;
  /** Full method name, `/package.Service/Method`. */
  readonly method: string;
  /** The metadata value of a lower-case name; values of a repeated name are joined with `, `. */
  meta(name: string): string | undefined;
  /** Milliseconds until the caller's deadline; `Infinity` when it set none. */
  timeLeft(): number;
  /** Sends a message. `false` means that the peer reads slowly: a later `send` before `onDrain` replaces the unsent one. */
  send(reply: Reply): boolean;
  /** Ends the call, by default with OK. `details` is a serialised `google.rpc.Status` for `grpc-status-details-bin`. Later calls of `send` and `end` do nothing. */
  end(code?: GrpcCode, message?: string, details?: Uint8Array): void;
  /** Called when the peer has read what was unsent. */
  onDrain: (() => void) | null;
  /** Called once when the peer reset the call, its deadline passed or its connection went; not after `end`, which does nothing from then on. */
  onCancel: (() => void) | null;
  /** Called once, however the call ended, when nothing of it is left: the peer has taken what was sent, or is gone. */
  onClose: (() => void) | null;
}

/** What a bidirectional method does with the peer's messages. */
export interface BidiHandler {
  /** Nothing is read from the peer until it settles; it must not reject. Absent: reading begins at once. */
  readonly ready?: Promise<void>;
  /** One message. When a promise is returned, no further one is read from the peer until it settles; it must not reject. */
  message(bytes: Uint8Array): void | Promise<void>;
  /** The peer will send no more. */
  end(): void;
}

/** What both kinds of methods may say of themselves. */
export interface MethodBounds {
  /** Largest request in bytes, instead of the transport's. */
  readonly maxRequest?: number;
}

/** A method. `single` takes one request and sends any number of replies (unary and server streaming look alike). */
export type Method<P> =
  | (MethodBounds & {
      readonly kind: "single";
      /** Judges a call before anything of its request is read, which waits for the promise; it must not reject. */
      open?(call: Call<P>): Promise<void> | void;
      run(call: Call<P>, request: Uint8Array): void;
    })
  | (MethodBounds & { readonly kind: "bidi"; open(call: Call<P>): BidiHandler });

/** Methods by full name. */
export type MethodTable<P> = ReadonlyMap<string, Method<P>>;

/** How a transport is set up. */
export interface TransportOptions<P> {
  readonly methods: MethodTable<P>;
  /** Says who the peer of an accepted connection is; `null` refuses it. The socket is open and unread. */
  onConnect(socket: Duplex): P | null;
  /**
   * Called when the peer begins a call, whatever becomes of it; as far as the implementation knows of those that it
   * refuses itself. `false` cuts the connection at once, and with it what was read of it already.
   */
  onStream?(peer: P): boolean | undefined;
  /** Called when a connection is gone. */
  onDisconnect?(peer: P): void;
  /** Largest request in bytes, unless the method has its own; more ends the call with RESOURCE_EXHAUSTED. */
  readonly maxRequest: number;
  /** Where it is counted what is held of a peer's requests; absent: nowhere. */
  account?(peer: P): RequestAccount;
  /** Concurrent calls per connection. */
  readonly maxStreams: number;
  /** Connections in all; further ones are closed at once. */
  readonly maxConnections: number;
  /** Milliseconds after which a connection is told to go away (±10 %); absent for never. */
  readonly maxConnectionAgeMs?: number;
  /** Milliseconds that calls have to end after that; absent for no end. */
  readonly maxConnectionAgeGraceMs?: number;
  /** Milliseconds between pings by which dead peers are noticed; absent for none. */
  readonly keepaliveMs?: number;
  /**
   * Also takes calls whose `:authority` is a path. What a connection begins with is then looked at before it is taken
   * over; for Unix sockets only.
   */
  readonly takesPathAuthorities?: boolean;
  /** Told of an exception that a method threw; the call has ended INTERNAL. */
  onError?(error: unknown, method: string): void;
}

/** Carries calls on connections that a listener accepted. */
export interface Transport {
  /** Takes over an accepted connection (a Unix or a TLS socket). Never throws: what cannot be served is closed. */
  accept(socket: Duplex): void;
  /** Connections open now. */
  readonly connections: number;
  /** Connections closed at once so far: over the bound, refused by `onConnect`, or come while shutting down. */
  readonly refused: number;
  /** Refuses new calls, waits up to `graceMs` for those in progress, then closes every connection. */
  shutdown(graceMs: number): Promise<void>;
}
