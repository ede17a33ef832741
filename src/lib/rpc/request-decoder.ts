/**
 * Cuts what a peer sends in one call into messages, in place of the library's decoder. That one keeps each piece as it
 * came, and a piece of one byte keeps all that was read from the socket with it: 64 KiB, if the peer likes.
 */
import { GrpcCode } from "../grpc-status.ts";

/** Flag and length. */
const PREFIX_BYTES = 5;
/** What a message costs besides its bytes while it waits. */
const OVERHEAD_BYTES = 256;
const SMALLEST_HELD = 64;
/** Messages that may come in one frame. Larger ones than those of a flood fill it before they are as many. */
const MOST_AT_ONCE = 256;
/** Most requests are empty; they share one message. */
const EMPTY = Buffer.alloc(PREFIX_BYTES);

/** How much may be held of requests that were not yet dealt with; counts what it was told. */
export interface RequestAccount {
  /** False: it would be too much, and nothing was counted. */
  hold(bytes: number): boolean;
  release(bytes: number): void;
}

/** What the decoder is made for. */
export interface RequestDecoderOptions {
  /** Bytes of the largest message. */
  readonly maxRequest: number;
  /** Whether the call has one request only, which is held until the peer has said that no more comes. */
  readonly single: boolean;
  readonly account?: RequestAccount;
  /** Ends the call. */
  refuse(code: GrpcCode, message: string): void;
}

/** Of one call. */
export class RequestDecoder {
  readonly #options: RequestDecoderOptions;
  /** The beginning of a message, and how much of it is filled. */
  #held: Buffer | undefined;
  #filled = 0;
  /** What is counted, and the part of it that is for the message that is held. */
  #counted = 0;
  #heldCost = 0;
  #over = false;

  constructor(options: RequestDecoderOptions) {
    this.#options = options;
  }

  /** The messages that are whole by now, each with its prefix; none any more once the call was refused. */
  write(data: Buffer): Buffer[] {
    const whole: Buffer[] = [];
    // More is read of a peer only when what it sent before was taken.
    if (!this.#options.single) this.#release();
    for (let at = 0; at < data.length && !this.#over; ) {
      at = this.#take(data, at, whole);
      if (whole.length > MOST_AT_ONCE) this.#refuse(GrpcCode.RESOURCE_EXHAUSTED, "too many messages at once");
    }
    return this.#over ? [] : whole;
  }

  /** The call is over: nothing of it is held any more. */
  close(): void {
    this.#over = true;
    this.#held = undefined;
    this.#heldCost = 0;
    this.#release();
  }

  /** Takes what is there of one message; returns where the next begins. */
  #take(data: Buffer, at: number, whole: Buffer[]): number {
    if (this.#held !== undefined || data.length - at < PREFIX_BYTES) return this.#hold(data, at, whole);
    const size = PREFIX_BYTES + data.readUInt32BE(at + 1);
    if (!this.#accept(data[at], size)) return data.length;
    if (at + size > data.length) return this.#hold(data, at, whole);
    if (size === PREFIX_BYTES && whole.length === 0) whole.push(EMPTY);
    else if (this.#count(size + OVERHEAD_BYTES)) whole.push(Buffer.from(data.subarray(at, at + size)));
    return at + size;
  }

  #hold(data: Buffer, at: number, whole: Buffer[]): number {
    const known = this.#held !== undefined && this.#filled >= PREFIX_BYTES;
    const size = known ? sizeOf(this.#held) : PREFIX_BYTES;
    const taken = Math.min(size - this.#filled, data.length - at);
    const held = this.#room(this.#filled + taken, known ? size : SMALLEST_HELD);
    if (held === undefined) return data.length;
    data.copy(held, this.#filled, at, at + taken);
    this.#filled += taken;
    if (this.#filled === PREFIX_BYTES && !this.#accept(held[0], sizeOf(held))) return data.length;
    if (this.#filled >= PREFIX_BYTES && this.#filled === sizeOf(held)) {
      whole.push(held.subarray(0, this.#filled));
      this.#held = undefined;
      this.#heldCost = 0;
      this.#filled = 0;
    }
    return at + taken;
  }

  /** The buffer for a message's beginning, `bytes` at least; it grows with what has come, not with what was announced. */
  #room(bytes: number, most: number): Buffer | undefined {
    const held = this.#held;
    const had = held?.length ?? 0;
    if (held !== undefined && had >= bytes) return held;
    const capacity = Math.max(SMALLEST_HELD, bytes, Math.min(2 * had, most));
    const cost = capacity - had + (held === undefined ? OVERHEAD_BYTES : 0);
    if (!this.#count(cost)) return undefined;
    this.#heldCost += cost;
    const larger = Buffer.allocUnsafeSlow(capacity);
    held?.copy(larger, 0, 0, this.#filled);
    this.#held = larger;
    return larger;
  }

  /** Judges a message by its prefix. */
  #accept(flag: number | undefined, size: number): boolean {
    const { maxRequest } = this.#options;
    // Calls that announce a compression never come here.
    if (flag !== 0) return this.#refuse(GrpcCode.INTERNAL, "compressed flag set with identity or empty encoding");
    const length = size - PREFIX_BYTES;
    if (length <= maxRequest) return true;
    return this.#refuse(GrpcCode.RESOURCE_EXHAUSTED, `received message larger than max (${length} vs. ${maxRequest})`);
  }

  #count(bytes: number): boolean {
    if (this.#options.account?.hold(bytes) === false) {
      return this.#refuse(GrpcCode.RESOURCE_EXHAUSTED, "too much of this user's requests is unfinished");
    }
    this.#counted += bytes;
    return true;
  }

  /** All but what is held. */
  #release(): void {
    const over = this.#counted - this.#heldCost;
    if (over > 0) this.#options.account?.release(over);
    this.#counted = this.#heldCost;
  }

  #refuse(code: GrpcCode, message: string): false {
    this.#over = true;
    this.#held = undefined;
    this.#options.refuse(code, message);
    return false;
  }
}

function sizeOf(framed: Buffer | undefined): number {
  return PREFIX_BYTES + (framed?.readUInt32BE(1) ?? 0);
}
