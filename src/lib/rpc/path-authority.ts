/** Takes calls whose `:authority` is a socket's path, as Java's gRPC has it: Node refuses every one of them. */

/** What begins every HTTP/2 connection (RFC 9113 §3.4): this, and a SETTINGS frame. */
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const FRAME_HEADER = 9;
const HEADERS = 1;
const SETTINGS = 4;
const END_HEADERS = 0x4;
const PADDED = 0x8;
const PRIORITY = 0x20;
/** As much as we let a frame have, for we never announce more (RFC 9113 §6.5.2). */
const MAX_FRAME = 16_384;
/** Index of `:authority` in HPACK's static table (RFC 7541, appendix A). */
const AUTHORITY = 1;
const NAME = Buffer.from(":authority");
const NOTHING = Buffer.alloc(0);
const SLASH = 0x2f;
const DASH = 0x2d;
/** SETTINGS_MAX_CONCURRENT_STREAMS and _MAX_HEADER_LIST_SIZE. */
const MAX_CONCURRENT_STREAMS = 3;
const MAX_HEADER_LIST_SIZE = 6;

/**
 * Whether a connection that begins with these bytes may be one of Java's: grpc-java on Netty allows us no streams and
 * eight KiB of headers. A wrong yes costs time and nothing else.
 */
export function mayNamePaths(first: Uint8Array): boolean {
  const bytes = Buffer.from(first.buffer, first.byteOffset, first.byteLength);
  const settings = PREFACE.length + FRAME_HEADER;
  if (bytes.length < settings || !bytes.subarray(0, PREFACE.length).equals(PREFACE)) return false;
  if (bytes[PREFACE.length + 3] !== SETTINGS) return false;
  const end = Math.min(settings + bytes.readUIntBE(PREFACE.length, 3), bytes.length);
  const values = new Map<number, number>();
  for (let at = settings; at + 6 <= end; at += 6) values.set(bytes.readUInt16BE(at), bytes.readUInt32BE(at + 2));
  return values.get(MAX_CONCURRENT_STREAMS) === 0 && values.get(MAX_HEADER_LIST_SIZE) === 8192;
}

/**
 * Follows what one peer sends and makes dashes of the slashes in authorities that begin with one. Nobody reads them,
 * and the length stays, so that frames, HPACK's table and all that comes later are what they would be. What is
 * malformed, cut into CONTINUATION frames or Huffman-coded passes as it is, for the session to judge.
 */
export class PathAuthorities {
  /** Bytes of the preface that are still to come. */
  #preface = PREFACE.length;
  /** Bytes of a frame that passes as it is. */
  #passing = 0;
  /** A frame or its header that is not whole yet, and how much of it has come; at most {@link MAX_FRAME} and a header. */
  #frame: Buffer | undefined;
  #filled = 0;

  /** The bytes to hand on for the next ones that came; changes them in place. */
  push(chunk: Buffer): Buffer {
    const bytes = this.#complete(chunk);
    if (bytes === undefined) return NOTHING;
    let at = this.#skip(bytes, 0);
    let whole = FRAME_HEADER;
    while (bytes.length - at >= FRAME_HEADER) {
      const length = bytes.readUIntBE(at, 3);
      if (bytes[at + 3] === HEADERS && length <= MAX_FRAME) {
        whole = FRAME_HEADER + length;
        if (bytes.length - at < whole) break;
        repairHeaders(bytes.subarray(at + FRAME_HEADER, at + whole), bytes[at + 4] ?? 0);
        at += whole;
      } else {
        this.#passing = FRAME_HEADER + length;
        at = this.#skip(bytes, at);
      }
      whole = FRAME_HEADER;
    }
    if (at < bytes.length) {
      this.#frame = Buffer.alloc(whole);
      this.#filled = bytes.copy(this.#frame, 0, at);
    }
    return bytes.subarray(0, at);
  }

  /** What was held and what has come; undefined while that is still held. */
  #complete(chunk: Buffer): Buffer | undefined {
    const frame = this.#frame;
    if (frame === undefined) return chunk;
    const copied = chunk.copy(frame, this.#filled);
    this.#filled += copied;
    if (this.#filled < frame.length) return undefined;
    this.#frame = undefined;
    return Buffer.concat([frame, chunk.subarray(copied)]);
  }

  /** Where, from `at` on, something begins that has to be looked at. */
  #skip(bytes: Buffer, at: number): number {
    const preface = Math.min(this.#preface, bytes.length - at);
    this.#preface -= preface;
    const passing = Math.min(this.#passing, bytes.length - at - preface);
    this.#passing -= passing;
    return at + preface + passing;
  }
}

/** The payload of a HEADERS frame (RFC 9113 §6.2). */
function repairHeaders(payload: Buffer, flags: number): void {
  if ((flags & END_HEADERS) === 0) return;
  const padded = (flags & PADDED) !== 0;
  const begin = (padded ? 1 : 0) + ((flags & PRIORITY) !== 0 ? 5 : 0);
  const end = payload.length - (padded ? (payload[0] ?? 0) : 0);
  if (begin < end) repairBlock(payload.subarray(begin, end));
}

/** A header block (RFC 7541 §6), as far as it is well formed. */
function repairBlock(block: Buffer): void {
  let at = 0;
  /** An integer with so many bits in its first byte (§5.1); undefined when there is none of a sane size. */
  const integer = (bits: number): number | undefined => {
    const first = block[at++];
    if (first === undefined) return undefined;
    const most = (1 << bits) - 1;
    let value = first & most;
    for (let shift = 0; value >= most && shift < 21; shift += 7) {
      const next = block[at++];
      if (next === undefined) return undefined;
      value += (next & 0x7f) << shift;
      if ((next & 0x80) === 0) return value;
    }
    return value < most ? value : undefined;
  };
  /** A string (§5.2), without its coding. */
  const text = (): { readonly plain: boolean; readonly bytes: Buffer } | undefined => {
    const plain = ((block[at] ?? 0) & 0x80) === 0;
    const length = integer(7);
    if (length === undefined || at + length > block.length) return undefined;
    at += length;
    return { plain, bytes: block.subarray(at - length, at) };
  };
  while (at < block.length) {
    const kind = block[at] ?? 0;
    // An indexed field, or a new size of the table.
    if (kind >= 0x80 || (kind & 0xe0) === 0x20) {
      if (integer(kind >= 0x80 ? 7 : 5) === undefined) return;
      continue;
    }
    const index = integer(kind >= 0x40 ? 6 : 4);
    if (index === undefined) return;
    const name = index === 0 ? text() : undefined;
    if (index === 0 && name === undefined) return;
    const value = text();
    if (value === undefined) return;
    const isAuthority = index === AUTHORITY || name?.bytes.equals(NAME) === true;
    if (isAuthority && value.plain) repairAuthority(value.bytes);
  }
}

function repairAuthority(value: Buffer): void {
  if (value[0] !== SLASH) return;
  for (let at = 0; at < value.length; at++) if (value[at] === SLASH) value[at] = DASH;
}
