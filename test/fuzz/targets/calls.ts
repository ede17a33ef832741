/** Runs methods of the sockets as the transport does, and judges how each call ends. */
import { holds, type Verdict } from "../../../scripts/fuzz/target.ts";
import { GrpcCode } from "../../../src/lib/grpc-status.ts";
import type { Call, Method, Reply } from "../../../src/lib/rpc/transport.ts";
import { equal } from "./plain.ts";
import { chosen, same } from "./refusal.ts";

/** Reads and writes one message. */
export interface Codec {
  decode(bytes: Uint8Array): unknown;
  encode(message: never): Uint8Array;
}

/** A method of a generated service definition. */
interface Definition {
  readonly path: string;
  readonly requestDeserialize: (bytes: Buffer) => unknown;
  readonly requestSerialize: (message: never) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => unknown;
  readonly responseSerialize: (message: never) => Buffer;
}

/** Both codecs of methods, by their paths. */
export type Codecs = ReadonlyMap<string, { readonly request: Codec; readonly response: Codec }>;

/** Ends that are ours to explain, not the caller's. */
const FAULTS: ReadonlySet<number> = new Set([GrpcCode.INTERNAL, GrpcCode.UNKNOWN, GrpcCode.DATA_LOSS]);

/** The codecs of services. */
export function codecsOf(...services: readonly object[]): Codecs {
  const methods = services.flatMap((service) => Object.values(service) as Definition[]);
  return new Map(
    methods.map((method) => [
      method.path,
      {
        request: { decode: (bytes) => method.requestDeserialize(buffer(bytes)), encode: method.requestSerialize },
        response: { decode: (bytes) => method.responseDeserialize(buffer(bytes)), encode: method.responseSerialize },
      },
    ]),
  );
}

/** Whether the bytes are a message; one that is must be written and read as the same, which is looked at for some. */
export function isMessage(codec: Codec, bytes: Uint8Array): boolean {
  let message: unknown;
  try {
    message = codec.decode(bytes);
  } catch (error) {
    holds(error instanceof Error, "what is no message is an error");
    return false;
  }
  if (!chosen(bytes, 4)) return true;
  const written = codec.encode(message as never);
  const again = codec.decode(written);
  holds(same(codec.encode(again as never), written), "a message is written twice as the same");
  holds(equal(again, message), "a message is written and read as the same");
  return true;
}

/** One call: answers are kept, and it is over with its end, or with the first answer of one that has no end. */
export class FuzzCall<P> implements Call<P> {
  readonly peer: P;
  readonly method: string;
  readonly sent: Uint8Array[] = [];
  ended: { readonly code: GrpcCode; readonly message: string } | undefined;
  onDrain: (() => void) | null = null;
  onCancel: (() => void) | null = null;
  onClose: (() => void) | null = null;
  readonly #settled = Promise.withResolvers<void>();
  readonly #header: string | undefined;

  constructor(peer: P, method: string, header?: string) {
    this.peer = peer;
    this.method = method;
    this.#header = header;
  }

  meta(): string | undefined {
    return this.#header;
  }

  timeLeft(): number {
    return Number.POSITIVE_INFINITY;
  }

  send({ bytes }: Reply): boolean {
    if (this.ended === undefined) this.sent.push(bytes);
    this.#settled.resolve();
    return true;
  }

  end(code: GrpcCode = GrpcCode.OK, message = ""): void {
    this.ended ??= { code, message };
    this.#settled.resolve();
  }

  /** Runs the method with these messages. */
  async run(method: Method<P>, messages: readonly Uint8Array[]): Promise<void> {
    if (method.kind === "single") method.run(this, messages[0] ?? new Uint8Array());
    else {
      const handler = method.open(this);
      await handler.ready;
      for (const message of messages) await handler.message(message);
      handler.end();
    }
    await this.#settled.promise;
    // A unary method sends and ends in one go.
    await Promise.resolve();
    if (this.ended === undefined) this.onCancel?.();
    this.onClose?.();
  }

  /** Throws unless the call was answered, or refused by what the caller did. */
  judge({ request, response }: { readonly request: Codec; readonly response: Codec }, message: Uint8Array): Verdict {
    const isGood = isMessage(request, message);
    const { code, message: text } = this.ended ?? { code: GrpcCode.OK, message: "" };
    holds(!FAULTS.has(code), `no request makes a fault of ours: ${text}`);
    holds(isGood || code !== GrpcCode.OK || message.length === 0, "what is no message is refused");
    if (chosen(message, 4))
      for (const answer of this.sent) holds(isMessage(response, answer), "an answer is a message");
    return code === GrpcCode.OK ? "accepted" : "refused";
  }
}

function buffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
