/** Selector sets as columns: each as `type:value`, and the whole set as a hash. */
import { createHash } from "node:crypto";
import { AgentError } from "../../../lib/errors.ts";
import { normalizeSelectors, type Selector, selectorText } from "../../../spiffe/selector.ts";

/** The hash of a set in canonical form. Each member is preceded by its length, so that no two sets read alike. */
export function selectorHash(selectors: readonly Selector[]): Uint8Array {
  const hash = createHash("sha256");
  for (const selector of normalizeSelectors(selectors)) {
    const text = selectorText(selector);
    hash.update(`${Buffer.byteLength(text)}:`).update(text);
  }
  return new Uint8Array(hash.digest());
}

/** The members of a set as texts, each once. */
export function selectorTexts(selectors: readonly Selector[]): readonly string[] {
  return [...new Set(selectors.map(selectorText))];
}

/** Reads a stored `type:value`. Throws `DATA_LOSS`. */
export function storedSelector(text: string): Selector {
  const colon = text.indexOf(":");
  if (colon < 1) throw new AgentError("DATA_LOSS", "a stored selector is not of the form type:value");
  return { type: text.slice(0, colon), value: text.slice(colon + 1) };
}

/** Sorts a set as `normalizeSelectors` does; stored sets have no duplicates. */
export function sorted(selectors: readonly Selector[]): readonly Selector[] {
  return selectors.length < 2 ? selectors : normalizeSelectors(selectors);
}
