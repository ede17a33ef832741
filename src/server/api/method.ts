/** Makes transport methods of handlers and the generated service definitions. */

import type { Method } from "../../lib/rpc/transport.ts";
import { bidi, type MethodCodec, serverStream, unary } from "../../lib/rpc/typed.ts";
import type { RpcContext } from "../rpc-context.ts";
import { errorDetails } from "./error-details.ts";

/** A method under its full name. */
export type NamedMethod = readonly [string, Method<RpcContext>];

/** What of a generated definition is used here. */
export interface Definition<Request, Response> {
  readonly path: string;
  requestDeserialize(bytes: Buffer): Request;
  responseSerialize(response: Response): Buffer;
}

/** A message that was encoded before. */
export type Encoded = Uint8Array;

const OPTIONS = { details: errorDetails };

/** One request, one response. */
export function unaryMethod<Request, Response>(
  definition: Definition<Request, Response>,
  handler: (request: Request, context: RpcContext, signal: AbortSignal) => Promise<Response>,
): NamedMethod {
  const method = unary<RpcContext, Request, Response>(
    codecOf(definition),
    async (request, { peer }, signal) => {
      try {
        return await handler(request, peer, signal);
      } catch (error) {
        peer.failed(error);
        throw error;
      }
    },
    OPTIONS,
  );
  return [definition.path, method];
}

/** One request, one response that the handler encodes. */
export function encodedUnaryMethod<Request>(
  definition: Definition<Request, never>,
  handler: (request: Request, context: RpcContext, signal: AbortSignal) => Promise<Encoded>,
): NamedMethod {
  return unaryMethod<Request, Encoded>({ ...definition, responseSerialize: asBuffer }, handler);
}

/** One request, any number of responses. */
export function streamMethod<Request, Response>(
  definition: Definition<Request, Response>,
  handler: (request: Request, context: RpcContext, signal: AbortSignal) => AsyncIterable<Response>,
): NamedMethod {
  const method = serverStream<RpcContext, Request, Response>(
    codecOf(definition),
    (request, { peer }, signal) => reporting(peer, handler(request, peer, signal)),
    OPTIONS,
  );
  return [definition.path, method];
}

/** Any number of requests and responses, the responses encoded by the handler. */
export function bidiMethod<Request>(
  definition: Definition<Request, never>,
  handler: (incoming: AsyncIterator<Request>, context: RpcContext, signal: AbortSignal) => AsyncIterable<Encoded>,
): NamedMethod {
  const codec: MethodCodec<Request, Encoded> = {
    request: codecOf(definition).request,
    response: { encode: (bytes) => ({ finish: () => bytes }), decode: writeOnly },
  };
  const method = bidi<RpcContext, Request, Encoded>(
    codec,
    (incoming, { peer }, signal) => reporting(peer, handler(incoming[Symbol.asyncIterator](), peer, signal)),
    OPTIONS,
  );
  return [definition.path, method];
}

async function* reporting<T>(context: RpcContext, responses: AsyncIterable<T>): AsyncGenerator<T, void, void> {
  try {
    yield* responses;
  } catch (error) {
    context.failed(error);
    throw error;
  }
}

function codecOf<Request, Response>(definition: Definition<Request, Response>): MethodCodec<Request, Response> {
  return {
    // Generated code reads from a reader as it does from bytes.
    request: { decode: (reader) => definition.requestDeserialize(reader as unknown as Buffer) },
    response: {
      encode: (response) => ({ finish: () => definition.responseSerialize(response) }),
      decode: writeOnly,
    },
  };
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function writeOnly(): never {
  throw new Error("a server reads no responses");
}
