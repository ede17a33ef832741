/**
 * HTTP/2 frames as bytes (RFC 9113), no more than a cheap gRPC client needs: requests are laid out once and sent in one
 * write, answers are read by their frame headers. Header blocks are written without compression and never read: whether
 * a call succeeded shows by its message.
 */

/** Frame types. */
export const Frame = {
  DATA: 0,
  HEADERS: 1,
  RST_STREAM: 3,
  SETTINGS: 4,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
} as const;

/** Frame flags; `ACK` and `END_STREAM` share a bit. */
export const Flag = { NONE: 0, END_STREAM: 1, ACK: 1, END_HEADERS: 4, PADDED: 8 } as const;

/** The largest payload that may be sent before the peer allows more. */
export const MAX_FRAME = 16_384;
/** What a peer may be sent, per stream and per connection, before it says otherwise. */
export const DEFAULT_WINDOW = 65_535;
/** The largest window there is: received bytes never wait. */
export const LARGEST_WINDOW = 2 ** 31 - 1;
const HEADER_BYTES = 9;
const SETTING_ENABLE_PUSH = 2;
/** How many bytes of a stream may be in flight. */
export const SETTING_INITIAL_WINDOW = 4;

/** One frame. */
export function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(stream, 5);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}

/** A frame whose payload is one 32-bit number: RST_STREAM, WINDOW_UPDATE. */
export function numberFrame(type: number, stream: number, value: number): Buffer {
  const payload = Buffer.allocUnsafe(4);
  payload.writeUInt32BE(value, 0);
  return frame(type, Flag.NONE, stream, payload);
}

/** What a client says first: the preface, its settings, and windows so wide that nothing ever waits for them. */
export const OPENING: Buffer = Buffer.concat([
  Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1"),
  frame(
    Frame.SETTINGS,
    Flag.NONE,
    0,
    Buffer.concat([setting(SETTING_ENABLE_PUSH, 0), setting(SETTING_INITIAL_WINDOW, LARGEST_WINDOW)]),
  ),
  numberFrame(Frame.WINDOW_UPDATE, 0, LARGEST_WINDOW - DEFAULT_WINDOW),
]);

/** Answers the peer's settings. */
export const SETTINGS_ACK: Buffer = frame(Frame.SETTINGS, Flag.ACK, 0, new Uint8Array(0));

function setting(name: number, value: number): Buffer {
  const bytes = Buffer.allocUnsafe(6);
  bytes.writeUInt16BE(name, 0);
  bytes.writeUInt32BE(value, 2);
  return bytes;
}

/** A header block for HPACK (RFC 7541 §6.2.2): every field literal, neither indexed nor Huffman coded. */
export function headerBlock(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0]), hpackString(name), hpackString(value)]));
}

function hpackString(text: string): Buffer {
  const bytes = Buffer.from(text, "latin1");
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const length = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) length.push((rest % 128) | 128);
  return Buffer.concat([Buffer.from([...length, rest]), bytes]);
}

/** A gRPC message as it stands in DATA frames: a byte that says "not compressed", the length, the bytes. */
export function grpcMessage(message: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(5 + message.length);
  bytes[0] = 0;
  bytes.writeUInt32BE(message.length, 1);
  bytes.set(message, 5);
  return bytes;
}

/** The HEADERS payload of a gRPC call. */
export function grpcHeaders(path: string, metadata: Readonly<Record<string, string>> = {}): Buffer {
  return headerBlock([
    [":method", "POST"],
    [":scheme", "http"],
    [":path", path],
    [":authority", "localhost"],
    ["content-type", "application/grpc"],
    ["te", "trailers"],
    ...Object.entries(metadata),
  ]);
}

/** HEADERS and DATA of a whole call with a message that fits one frame: one write. */
export function wholeCall(headers: Buffer, message: Uint8Array, stream: number): Buffer {
  return Buffer.concat([
    frame(Frame.HEADERS, Flag.END_HEADERS, stream, headers),
    frame(Frame.DATA, Flag.END_STREAM, stream, grpcMessage(message)),
  ]);
}

/** What a reader tells of what it sees. */
export interface FrameSink {
  /** A piece of a DATA frame's payload; valid only during the call. */
  data(stream: number, piece: Buffer): void;
  /** A frame has ended. DATA brings no payload here, other frames bring theirs. */
  frame(type: number, flags: number, stream: number, payload: Buffer): void;
}

const NOTHING = Buffer.alloc(0);

/** Cuts what arrives into frames. */
export class FrameReader {
  readonly #sink: FrameSink;
  /** The beginning of a frame header or of a payload other than DATA. */
  #held: Buffer = NOTHING;
  #left = 0;
  #flags = 0;
  #stream = 0;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** Takes the next bytes. Throws on padding, which neither server sends. */
  push(chunk: Buffer): void {
    let bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    this.#held = NOTHING;
    for (;;) {
      if (this.#left > 0) {
        const piece = bytes.subarray(0, this.#left);
        if (piece.length === 0) return;
        this.#left -= piece.length;
        this.#sink.data(this.#stream, piece);
        bytes = bytes.subarray(piece.length);
        if (this.#left > 0) return;
        this.#sink.frame(Frame.DATA, this.#flags, this.#stream, NOTHING);
      }
      if (bytes.length < HEADER_BYTES) break;
      const length = bytes.readUIntBE(0, 3);
      const type = bytes[3] as number;
      const flags = bytes[4] as number;
      const stream = bytes.readUInt32BE(5) & LARGEST_WINDOW;
      if (type === Frame.DATA) {
        if ((flags & Flag.PADDED) !== 0) throw new Error("padded DATA frame");
        bytes = bytes.subarray(HEADER_BYTES);
        this.#left = length;
        this.#flags = flags;
        this.#stream = stream;
        if (length === 0) this.#sink.frame(Frame.DATA, flags, stream, NOTHING);
        continue;
      }
      const end = HEADER_BYTES + length;
      if (bytes.length < end) break;
      this.#sink.frame(type, flags, stream, bytes.subarray(HEADER_BYTES, end));
      bytes = bytes.subarray(end);
    }
    if (bytes.length > 0) this.#held = Buffer.from(bytes);
  }
}
