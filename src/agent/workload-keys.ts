/** Keys of workloads: made off the event loop, a few at a time. */

import type { KeyObject } from "node:crypto";
import { generateKey, type KeyType } from "../pki/keys.ts";

/** The server's limit of SVIDs a call. */
const MAX_BATCH = 500;
/** RSA keys take long to make, and the first SVID of a batch waits for the last key. */
const MAX_RSA_BATCH = 16;
/** Keys being made at once: more would take the processor from the event loop. */
const PARALLEL_KEYS = 4;

/** How many SVIDs with keys of a type are asked for at a time. */
export function maxBatchOf(keyType: KeyType): number {
  return keyType.startsWith("rsa") ? MAX_RSA_BATCH : MAX_BATCH;
}

/** Makes a key for each item and what goes with it; in the order of the items. */
export async function withKeys<T, R>(
  items: readonly T[],
  keyType: KeyType,
  make: (item: T, privateKey: KeyObject) => R | Promise<R>,
): Promise<R[]> {
  const made: R[] = [];
  for (let start = 0; start < items.length; start += PARALLEL_KEYS) {
    const slice = items.slice(start, start + PARALLEL_KEYS);
    made.push(...(await Promise.all(slice.map(async (item) => make(item, await generateKey(keyType))))));
  }
  return made;
}
