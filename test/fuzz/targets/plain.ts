/** What a reader of JSON may return: plain values, no larger than what was read, equal when they are equal. */
import { holds } from "../../../scripts/fuzz/target.ts";

/** Bytes that a value may have for each of the input; base64 and hex only shrink. */
const MARGIN = 64;

/** Whether two values are the same to their last member. */
export function equal(a: unknown, b: unknown): boolean {
  // Zero has one sign here: JSON does not tell it reliably.
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (a instanceof Uint8Array) return b instanceof Uint8Array && Buffer.compare(a, b) === 0;
  if (a instanceof Map) return b instanceof Map && equal([...a], [...b]);
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  const names = Object.keys(a);
  if (names.length !== Object.keys(b).length) return false;
  return names.every((name) => equal((a as Record<string, unknown>)[name], (b as Record<string, unknown>)[name]));
}

/** Throws unless a value is plain through and through, and has no more in it than the input could tell. */
export function checkPlain(value: unknown, inputBytes: number): void {
  holds(weigh(value) <= inputBytes + MARGIN, "a value is not larger than what was read");
}

function weigh(value: unknown): number {
  if (value instanceof Uint8Array) return value.length;
  if (typeof value === "string") return value.length;
  if (typeof value !== "object" || value === null) return 1;
  if (value instanceof Map) return weigh([...value]);
  const prototype: unknown = Object.getPrototypeOf(value);
  holds(prototype === Object.prototype || prototype === Array.prototype, "an object has no prototype of its own");
  let sum = 0;
  for (const name of Object.getOwnPropertyNames(value)) {
    holds(name !== "__proto__", "no object has a member __proto__");
    sum += name === "length" ? 0 : weigh((value as Record<string, unknown>)[name]);
  }
  return sum;
}
