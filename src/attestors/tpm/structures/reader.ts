/** A bounded cursor over the TPM's big-endian structures (TPM 2.0 Part 2). What it returns are views of the input. */
import { AgentError } from "../../../lib/errors.ts";

/** Longest structure that is read; the TPM's own buffers are 4 KiB. */
const MAX_BYTES = 4096;

/** A structure that does not follow its format. `what` says which, `detail` how. */
export function malformedTpm(what: string, detail: string): AgentError {
  return new AgentError("MALFORMED", `${what}: ${detail}`);
}

/** Reads one structure to its last byte. Throws `MALFORMED` with the structure's name. */
export function readWhole<T>(what: string, bytes: Uint8Array, read: (reader: TpmReader) => T): T {
  if (bytes.length > MAX_BYTES) throw malformedTpm(what, `longer than ${MAX_BYTES} bytes`);
  const reader = new TpmReader(what, bytes);
  const value = read(reader);
  reader.end();
  return value;
}

/** The cursor. Every method throws `MALFORMED` where the bytes end too soon. */
export class TpmReader {
  readonly #what: string;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(what: string, bytes: Uint8Array) {
    this.#what = what;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Where the cursor stands. */
  get at(): number {
    return this.#at;
  }

  u8(): number {
    return this.#view.getUint8(this.#step(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#step(2));
  }

  u32(): number {
    return this.#view.getUint32(this.#step(4));
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#step(8));
  }

  /** The next `count` bytes. */
  bytes(count: number): Uint8Array {
    const start = this.#step(count);
    return this.#bytes.subarray(start, start + count);
  }

  /** A TPM2B: a 16-bit length, at most `max`, and that many bytes. */
  sized(max: number): Uint8Array {
    const length = this.u16();
    if (length > max) throw this.fail(`a member of ${length} bytes, at most ${max} are accepted`);
    return this.bytes(length);
  }

  /** Everything from `start` to here. */
  since(start: number): Uint8Array {
    return this.#bytes.subarray(start, this.#at);
  }

  /** Throws unless everything was read. */
  end(): void {
    if (this.#at !== this.#bytes.length) throw this.fail(`${this.#bytes.length - this.#at} trailing bytes`);
  }

  /** The error of this structure. */
  fail(detail: string): AgentError {
    return malformedTpm(this.#what, detail);
  }

  #step(count: number): number {
    const start = this.#at;
    if (count > this.#bytes.length - start) throw this.fail("cut short");
    this.#at += count;
    return start;
  }
}
