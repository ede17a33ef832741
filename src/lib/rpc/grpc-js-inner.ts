/** What is reached behind the interface of a call of grpc-js, each in one field of the library's own. */
import type { ServerInterceptingCallInterface } from "@grpc/grpc-js";
import type { RequestDecoder } from "./request-decoder.ts";

/** On a stream whose HTTP method is not gRPC's: that method. The library does not look at it. */
export const WRONG_METHOD = Symbol("wrong method");

/**
 * The library inflates every message as it comes, before it asks anybody, so that a frame of tiny ones costs a hundred
 * times its size and a second of work. What the peer announced stands in this field alone; without it all is refused.
 */
export function isCompressed(inner: ServerInterceptingCallInterface): boolean {
  return (inner as { readonly incomingEncoding?: unknown }).incomingEncoding !== "identity";
}

/** Puts our decoder in the place of the library's, in this field; where there is none, the call is refused. */
export function decodeWith(inner: ServerInterceptingCallInterface, decoder: RequestDecoder): boolean {
  const fields = inner as { decoder?: { readonly write?: unknown } };
  if (typeof fields.decoder?.write !== "function") return false;
  fields.decoder = decoder;
  return true;
}

/**
 * Closes a stream whose peer has its answer and has not said that it will say no more: it would stay for as long as the
 * peer likes, and nothing counts it any more (RFC 9113 §8.1: the reset says that there was no error).
 */
export function hangUp(inner: ServerInterceptingCallInterface): void {
  const { stream, receivedHalfClose } = inner as {
    readonly stream?: { readonly closed: boolean; close(): void };
    readonly receivedHalfClose?: boolean;
  };
  if (receivedHalfClose === true || stream === undefined) return;
  // Node submits trailers in such a turn, too: those of this call come first.
  setImmediate(() => stream.closed || stream.close());
}
