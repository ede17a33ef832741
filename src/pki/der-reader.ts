/**
 * A strict, bounded DER reader (X.690): definite minimal lengths, low tag numbers, canonical booleans and integers,
 * and every constructed value read to its last byte. It never copies; what it returns are views of the input.
 */
import { malformed } from "./der-error.ts";
import { readTime } from "./der-time.ts";
import { decodeOid } from "./oid.ts";
import { Tag } from "./tags.ts";

/** Deepest nesting that is followed; certificates need about ten. */
const MAX_DEPTH = 24;

/** One element: tag, content, and both with their header. */
export interface DerElement {
  readonly tag: number;
  readonly content: Uint8Array;
  readonly der: Uint8Array;
}

/** A cursor over the elements of one constructed value. */
export class DerReader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  readonly #depth: number;
  #at: number;
  /** Where the content of the last read header lies. */
  #from = 0;
  #to = 0;

  private constructor(bytes: Uint8Array, from: number, to: number, depth: number) {
    this.#bytes = bytes;
    this.#at = from;
    this.#end = to;
    this.#depth = depth;
  }

  /** A reader of all of `bytes`. Throws `MALFORMED` when there are more than `maxBytes`. */
  static of(bytes: Uint8Array, maxBytes: number): DerReader {
    if (bytes.length > maxBytes) throw malformed(`longer than ${maxBytes} bytes`);
    return new DerReader(bytes, 0, bytes.length, 0);
  }

  /** Whether everything was read. */
  get done(): boolean {
    return this.#at === this.#end;
  }

  /** Throws unless everything was read. */
  end(): void {
    if (this.#at !== this.#end) throw malformed("trailing bytes");
  }

  /** The next tag, or -1 at the end. */
  peek(): number {
    return this.#at < this.#end ? (this.#bytes[this.#at] ?? -1) : -1;
  }

  /** The next element, whatever it is. */
  any(): DerElement {
    const start = this.#at;
    const tag = this.#header();
    return {
      tag,
      content: this.#bytes.subarray(this.#from, this.#to),
      der: this.#bytes.subarray(start, this.#to),
    };
  }

  /** The next element with its header; it must have that tag. */
  whole(tag: number): Uint8Array {
    const start = this.#at;
    this.#expect(tag);
    return this.#bytes.subarray(start, this.#to);
  }

  /** The content of the next element, which must have that tag. */
  content(tag: number): Uint8Array {
    this.#expect(tag);
    return this.#bytes.subarray(this.#from, this.#to);
  }

  /** Reads the inside of the next element with `read`, which must consume all of it. */
  inside<T>(tag: number, read: (inner: DerReader) => T): T {
    this.#expect(tag);
    if (this.#depth >= MAX_DEPTH) throw malformed("nested too deep");
    const inner = new DerReader(this.#bytes, this.#from, this.#to, this.#depth + 1);
    const value = read(inner);
    inner.end();
    return value;
  }

  /** As `inside`, if the next element has that tag; else reads nothing and returns `undefined`. */
  optional<T>(tag: number, read: (inner: DerReader) => T): T | undefined {
    return this.peek() === tag ? this.inside(tag, read) : undefined;
  }

  /** The inside of a SEQUENCE. */
  sequence<T>(read: (inner: DerReader) => T): T {
    return this.inside(Tag.SEQUENCE, read);
  }

  /** All elements of the next element, each read with `read`; at most `max` of them. */
  listOf<T>(tag: number, max: number, read: (inner: DerReader) => T): T[] {
    return this.inside(tag, (inner) => {
      const list: T[] = [];
      while (!inner.done) {
        if (list.length >= max) throw malformed(`more than ${max} elements`);
        list.push(read(inner));
      }
      return list;
    });
  }

  /** TRUE is 0xff and FALSE is 0x00 (X.690 11.1). */
  boolean(): boolean {
    const content = this.content(Tag.BOOLEAN);
    if (content.length !== 1 || (content[0] !== 0 && content[0] !== 0xff)) throw malformed("boolean is not canonical");
    return content[0] === 0xff;
  }

  /** The content of an INTEGER that is zero or positive and minimal (X.690 8.3.2), a leading zero removed. */
  unsigned(): Uint8Array {
    const content = this.content(Tag.INTEGER);
    const [first, second] = content;
    if (first === undefined) throw malformed("empty integer");
    if (first & 0x80) throw malformed("negative integer");
    if (first !== 0 || second === undefined) return content;
    if ((second & 0x80) === 0) throw malformed("integer is not minimal");
    return content.subarray(1);
  }

  /** An INTEGER from 0 to `max` (below 2^53). */
  small(max: number): number {
    const value = this.unsigned().reduce((sum, byte) => sum * 256 + byte, 0);
    if (value > max) throw malformed("integer too large");
    return value;
  }

  /** An OBJECT IDENTIFIER, dotted. */
  oid(): string {
    return decodeOid(this.content(Tag.OID));
  }

  /** A NULL. */
  null(): void {
    if (this.content(Tag.NULL).length !== 0) throw malformed("null with content");
  }

  /** A BIT STRING of whole bytes. */
  bitString(): Uint8Array {
    const content = this.content(Tag.BIT_STRING);
    if (content[0] !== 0) throw malformed("bit string with unused bits");
    return content.subarray(1);
  }

  /**
   * A BIT STRING of named bits: bit `i` is set if the result's bit `i` is. At most 16 bits. Trailing zero bits, which
   * DER forbids (X.690 11.2.2), are let through: genuine endorsement certificates have them, and they mean nothing.
   */
  namedBits(): number {
    const content = this.content(Tag.BIT_STRING);
    const unused = content[0];
    const last = content.at(-1);
    if (unused === undefined || last === undefined) throw malformed("empty bit string");
    if (content.length > 3) throw malformed("bit string too long");
    if (content.length === 1 ? unused !== 0 : unused > 7 || (last & ((1 << unused) - 1)) !== 0) {
      throw malformed("bad unused bits");
    }
    let bits = 0;
    for (let i = 0; i < (content.length - 1) * 8; i++) {
      if (((content[1 + (i >> 3)] ?? 0) >> (7 - (i & 7))) & 1) bits |= 1 << i;
    }
    return bits;
  }

  /** A UTCTime or GeneralizedTime in the form of RFC 5280 4.1.2.5, as milliseconds since the Unix epoch. */
  time(): number {
    const { tag, content } = this.any();
    return readTime(tag, content);
  }

  #expect(tag: number): void {
    const found = this.peek();
    if (found !== tag) {
      throw malformed(`want tag 0x${tag.toString(16)}, found ${found < 0 ? "the end" : `0x${found.toString(16)}`}`);
    }
    this.#header();
  }

  /** Reads tag and length, checks that the content fits, and steps over it. */
  #header(): number {
    const tag = this.#byte();
    if ((tag & 0x1f) === 0x1f) throw malformed("high tag number");
    let length = this.#byte();
    if (length === 0x80) throw malformed("indefinite length");
    if (length > 0x80) {
      const count = length & 0x7f;
      if (count > 4) throw malformed("length of more than 4 bytes");
      length = 0;
      for (let i = 0; i < count; i++) length = length * 256 + this.#byte();
      if (length < 0x80 || length < 256 ** (count - 1)) throw malformed("length is not minimal");
    }
    if (length > this.#end - this.#at) throw malformed("content runs over the end");
    this.#from = this.#at;
    this.#to = this.#at += length;
    return tag;
  }

  #byte(): number {
    const byte = this.#at < this.#end ? this.#bytes[this.#at] : undefined;
    if (byte === undefined) throw malformed("cut short");
    this.#at++;
    return byte;
  }
}
