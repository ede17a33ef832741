/** Calls of the server as promises: a deadline for each, ended by the caller's signal, errors translated. */
import { type Client, Metadata } from "@grpc/grpc-js";
import type { Clock } from "../lib/clock.ts";
import type { AgentError } from "../lib/errors.ts";
import { fromServiceError } from "./server-client-errors.ts";

/** One method of a generated service definition. */
export interface MethodDefinition<Request, Response> {
  readonly path: string;
  readonly requestSerialize: (value: Request) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Response;
}

/** A channel and what calls on it need to know. */
export interface RpcChannel {
  readonly client: Client;
  readonly clock: Clock;
  /** Milliseconds that a call may take, streams included (but not `subscribe`). */
  readonly timeoutMs: number;
  /** Why the latest connection attempt failed, if it did. */
  readonly connectionFailure: () => AgentError | undefined;
}

/** A bidirectional stream as a conversation. */
export interface Conversation<Request, Response> {
  readonly send: (request: Request) => void;
  /** The next message; undefined when the server ended the stream. */
  readonly next: () => Promise<Response | undefined>;
}

/** Calls a unary method. Throws a `ServerCallError`, or the signal's reason. */
export async function unary<Request, Response>(
  channel: RpcChannel,
  method: MethodDefinition<Request, Response>,
  request: Request,
  signal: AbortSignal,
): Promise<Response> {
  signal.throwIfAborted();
  let cancel: (() => void) | undefined;
  try {
    return await new Promise<Response>((resolve, reject) => {
      const call = channel.client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        new Metadata(),
        { deadline: deadline(channel) },
        (error, response) => {
          if (error !== null) reject(error);
          else if (response === undefined) reject(new Error("the server sent no response"));
          else resolve(response);
        },
      );
      cancel = () => call.cancel();
      signal.addEventListener("abort", cancel, { once: true });
    });
  } catch (error) {
    throw translate(channel, method.path, error, signal);
  } finally {
    if (cancel !== undefined) signal.removeEventListener("abort", cancel);
  }
}

/** Holds a conversation and ends it when `talk` settles. Throws a `ServerCallError`, the signal's reason, or what `talk` throws. */
export async function converse<Request, Response, Result>(
  channel: RpcChannel,
  method: MethodDefinition<Request, Response>,
  signal: AbortSignal,
  talk: (conversation: Conversation<Request, Response>) => Promise<Result>,
): Promise<Result> {
  signal.throwIfAborted();
  const call = channel.client.makeBidiStreamRequest(
    method.path,
    method.requestSerialize,
    method.responseDeserialize,
    new Metadata(),
    { deadline: deadline(channel) },
  );
  const cancel = (): void => call.cancel();
  signal.addEventListener("abort", cancel, { once: true });
  // The iterator reports errors while it is read; this one is for those that come later.
  call.on("error", () => {});
  const messages: AsyncIterator<Response> = call[Symbol.asyncIterator]();
  let done = false;
  try {
    const result = await talk({
      send: (request) => call.write(request),
      next: async () => {
        try {
          const { value, done: ended } = await messages.next();
          return ended === true ? undefined : value;
        } catch (error) {
          throw translate(channel, method.path, error, signal);
        }
      },
    });
    done = true;
    return result;
  } finally {
    signal.removeEventListener("abort", cancel);
    // A finished conversation is closed from our side and the server ends it; any other is broken off.
    if (done) {
      call.end();
      call.resume();
    } else {
      call.cancel();
    }
  }
}

/** Follows a server stream, without a deadline, until it ends or the signal aborts. Throws a `ServerCallError`. */
export async function* subscribe<Request, Response>(
  channel: RpcChannel,
  method: MethodDefinition<Request, Response>,
  request: Request,
  signal: AbortSignal,
): AsyncGenerator<Response, void, void> {
  signal.throwIfAborted();
  const call = channel.client.makeServerStreamRequest(
    method.path,
    method.requestSerialize,
    method.responseDeserialize,
    request,
    new Metadata(),
    {},
  );
  const cancel = (): void => call.cancel();
  signal.addEventListener("abort", cancel, { once: true });
  call.on("error", () => {});
  try {
    yield* call as AsyncIterable<Response>;
  } catch (error) {
    throw translate(channel, method.path, error, signal);
  } finally {
    signal.removeEventListener("abort", cancel);
    call.cancel();
  }
}

function deadline(channel: RpcChannel): number {
  return channel.clock.now() + channel.timeoutMs;
}

function translate(channel: RpcChannel, path: string, error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  return fromServiceError(error, path.slice(path.lastIndexOf("/") + 1), channel.connectionFailure());
}
