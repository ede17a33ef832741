/** Writes the TPM's big-endian structures (TPM 2.0 Part 2). */

export function u8(value: number): Uint8Array {
  return Uint8Array.of(value);
}

export function u16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value);
}

export function u32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

/** A TPM2B: the length in 16 bits, then the bytes. */
export function sized(bytes: Uint8Array): Uint8Array {
  return concat(u16(bytes.length), bytes);
}

/** All parts, one after the other. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts);
}
