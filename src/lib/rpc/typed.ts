/** Adapters from handlers that take and give protobuf messages to the methods of a transport. */
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { AgentError, publicError } from "../errors.ts";
import { toGrpcStatus } from "../grpc-status.ts";
import { Incoming } from "./incoming.ts";
import { LosslessSender } from "./lossless.ts";
import { type Call, type Method, Reply } from "./transport.ts";

/** How one message type is written and read; the generated message objects fit. */
export interface MessageCodec<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const decodeUtf8 = (bytes: Uint8Array): string => utf8.decode(bytes);

/**
 * The bytes of a request. Texts must be UTF-8: left to itself the library puts U+FFFD where it cannot read on, so that
 * different audiences or names would become one.
 */
export class RequestReader extends BinaryReader {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    super(bytes, decodeUtf8);
    this.#bytes = bytes;
  }

  /** Throws where bytes are left: generated code takes a field that is none, or a group's end, for the message's. */
  checkEnd(): void {
    if (this.pos !== this.len) throw new RangeError("bytes after the message");
  }

  /** All bytes, for codecs that are not protobuf's. */
  all(): Uint8Array {
    this.pos = this.len;
    return this.#bytes;
  }
}

/** How a request is read; the generated message objects fit. */
export interface RequestCodec<T> {
  decode(reader: RequestReader): T;
}

/** The two message types of a method. */
export interface MethodCodec<Request, Response> {
  readonly request: RequestCodec<Request>;
  readonly response: MessageCodec<Response>;
}

/** What a handler may ask of its call. */
export type CallInfo<P> = Pick<Call<P>, "peer" | "method" | "meta" | "timeLeft">;

/** What happens when a handler fails, besides the status that `toGrpcStatus` finds. */
export interface TypedOptions {
  /** A serialised `google.rpc.Status` for the caller; absent for none. */
  details?(error: unknown): Uint8Array | undefined;
  /** Told of every failure that reaches the caller, for the log. */
  onError?(error: unknown, method: string): void;
}

/** One request, one response. */
export function unary<P, Request, Response>(
  codec: MethodCodec<Request, Response>,
  handler: (request: Request, call: CallInfo<P>, signal: AbortSignal) => Promise<Response>,
  options: TypedOptions = {},
): Method<P> {
  return {
    kind: "single",
    run(call, bytes) {
      void serve(call, options, async (signal) => {
        const response = await handler(decodeRequest(codec.request, bytes), call, signal);
        call.send(new Reply(codec.response.encode(response).finish()));
      });
    },
  };
}

/** One request, any number of responses; the handler is asked for the next one when the peer has room for it. */
export function serverStream<P, Request, Response>(
  codec: MethodCodec<Request, Response>,
  handler: (request: Request, call: CallInfo<P>, signal: AbortSignal) => AsyncIterable<Response>,
  options: TypedOptions = {},
): Method<P> {
  return {
    kind: "single",
    run(call, bytes) {
      void serve(call, options, (signal) =>
        sendAll(call, codec.response, handler(decodeRequest(codec.request, bytes), call, signal), signal),
      );
    },
  };
}

/** Any number of requests and responses. The peer's next message is read when the handler has taken the last one. */
export function bidi<P, Request, Response>(
  codec: MethodCodec<Request, Response>,
  handler: (
    incoming: AsyncIterable<Request>,
    call: CallInfo<P>,
    signal: AbortSignal,
  ) => AsyncIterable<Response> | Promise<AsyncIterable<Response>>,
  options: TypedOptions = {},
): Method<P> {
  return {
    kind: "bidi",
    open(call) {
      const incoming = new Incoming((bytes) => decodeRequest(codec.request, bytes));
      void serve(call, options, async (signal) => {
        signal.addEventListener("abort", () => incoming.fail(signal.reason), { once: true });
        try {
          await sendAll(call, codec.response, await handler(incoming, call, signal), signal);
        } finally {
          incoming.fail(new AgentError("CANCELLED", "the call has ended"));
        }
      });
      return incoming;
    },
  };
}

/** Runs the work of one call under a signal that aborts with it, and ends the call with the outcome. */
async function serve(
  call: Call<unknown>,
  options: TypedOptions,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const controller = new AbortController();
  call.onCancel = () => controller.abort(new AgentError("CANCELLED", "the caller has gone"));
  try {
    await work(controller.signal);
    call.end();
  } catch (error) {
    if (controller.signal.aborted) return;
    const { code, message } = toGrpcStatus(error);
    call.end(code, message, options.details?.(error));
    options.onError?.(error, call.method);
  }
}

async function sendAll<Response>(
  call: Call<unknown>,
  codec: MessageCodec<Response>,
  responses: AsyncIterable<Response>,
  signal: AbortSignal,
): Promise<void> {
  const sender = new LosslessSender(call, signal);
  for await (const response of responses) await sender.send(codec.encode(response).finish());
}

/** Decodes a request. Throws `INVALID_ARGUMENT`. */
export function decodeRequest<T>(codec: RequestCodec<T>, bytes: Uint8Array): T {
  try {
    const reader = new RequestReader(bytes);
    const request = codec.decode(reader);
    reader.checkEnd();
    return request;
  } catch (error) {
    throw publicError("INVALID_ARGUMENT", "request is no valid message", { cause: error });
  }
}
