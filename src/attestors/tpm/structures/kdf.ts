/** The TPM's key derivation functions (TPM 2.0 Part 1, 11.4.10). */
import { createHash, createHmac, createSecretKey } from "node:crypto";
import { digestBytes, type TpmHash } from "./algorithms.ts";
import { u32 } from "./writer.ts";

/** KDFa: counter mode with HMAC (SP 800-108), `bits` a multiple of eight. The label's NUL is part of it. */
export function kdfa(
  hash: TpmHash,
  key: Uint8Array,
  label: string,
  contextU: Uint8Array,
  contextV: Uint8Array,
  bits: number,
): Uint8Array {
  // Node takes five times as long for a key that is a buffer.
  const hmacKey = createSecretKey(key);
  return expand(hash, bits, (counter) =>
    createHmac(hash, hmacKey)
      .update(counter)
      .update(`${label}\0`)
      .update(contextU)
      .update(contextV)
      .update(u32(bits))
      .digest(),
  );
}

/** KDFe: hash of a shared point's x coordinate and both parties' (SP 800-56A), `bits` a multiple of eight. */
export function kdfe(
  hash: TpmHash,
  z: Uint8Array,
  label: string,
  partyU: Uint8Array,
  partyV: Uint8Array,
  bits: number,
): Uint8Array {
  return expand(hash, bits, (counter) =>
    createHash(hash).update(counter).update(z).update(`${label}\0`).update(partyU).update(partyV).digest(),
  );
}

function expand(hash: TpmHash, bits: number, block: (counter: Uint8Array) => Uint8Array): Uint8Array {
  const blocks: Uint8Array[] = [];
  for (let counter = 1; blocks.length * digestBytes(hash) * 8 < bits; counter++) blocks.push(block(u32(counter)));
  return Buffer.concat(blocks).subarray(0, bits / 8);
}
