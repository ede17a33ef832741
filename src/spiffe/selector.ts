/** Selectors: what attestation found out about a node or workload, and how entries ask for it. */
import { publicError } from "../lib/errors.ts";

/** One attested property, `type:value`. */
export interface Selector {
  /** Non-empty, without `:`. */
  readonly type: string;
  /** Non-empty; may contain `:`. */
  readonly value: string;
}

/** Longest type and value, in bytes; the datastore's columns hold no more. */
const MAX_SELECTOR_BYTES = 2048;

/** Parses `type:value` as the command line writes it. Throws `INVALID_ARGUMENT`. */
export function parseSelector(text: string): Selector {
  const colon = text.indexOf(":");
  if (colon < 0) throw publicError("INVALID_ARGUMENT", `selector "${text}" must be formatted as type:value`);
  return checkSelector({ type: text.slice(0, colon), value: text.slice(colon + 1) });
}

/** Returns the selector if it is well formed. Throws `INVALID_ARGUMENT`. */
export function checkSelector(selector: Selector): Selector {
  if (selector.type === "") throw publicError("INVALID_ARGUMENT", "missing selector type");
  if (selector.type.includes(":")) throw publicError("INVALID_ARGUMENT", "selector type contains ':'");
  if (selector.value === "") throw publicError("INVALID_ARGUMENT", "missing selector value");
  if (selector.type.length > MAX_SELECTOR_BYTES || Buffer.byteLength(selector.value) > MAX_SELECTOR_BYTES) {
    throw publicError("INVALID_ARGUMENT", `selector is longer than ${MAX_SELECTOR_BYTES} bytes`);
  }
  return { type: selector.type, value: selector.value };
}

/** The text form, `type:value`; unique, because a type has no colon. */
export function selectorText(selector: Selector): string {
  return `${selector.type}:${selector.value}`;
}

/** The selectors without duplicates, sorted by type, then value: the canonical form of a set. */
export function normalizeSelectors(selectors: readonly Selector[]): readonly Selector[] {
  const byText = new Map(selectors.map((selector) => [selectorText(selector), selector]));
  return [...byText.values()].sort((a, b) => compare(a.type, b.type) || compare(a.value, b.value));
}

/** Whether all of `wanted` are among `texts`, a set of `selectorText` forms. */
export function isSubset(wanted: readonly Selector[], texts: ReadonlySet<string>): boolean {
  return wanted.every((selector) => texts.has(selectorText(selector)));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
