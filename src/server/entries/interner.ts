/** Shares equal strings and selectors between a hundred thousand entries. */
import type { RegistrationEntry } from "../../spiffe/entry.ts";
import type { SpiffeId, TrustDomain } from "../../spiffe/id.ts";
import { type Selector, selectorText } from "../../spiffe/selector.ts";

/** Values remembered; past it the memory is emptied, and only sharing is lost. */
const MAX_VALUES = 200_000;

/** Returns the first of equal values for each later one. */
export class Interner {
  readonly #texts = new Map<string, string>();
  readonly #selectors = new Map<string, Selector>();

  /** The entry over shared parts. */
  entry(entry: RegistrationEntry): RegistrationEntry {
    return {
      ...entry,
      parentId: this.text(entry.parentId) as SpiffeId,
      spiffeId: this.text(entry.spiffeId) as SpiffeId,
      hint: this.text(entry.hint),
      selectors: entry.selectors.map((selector) => this.selector(selector)),
      federatesWith: entry.federatesWith.map((trustDomain) => this.text(trustDomain) as TrustDomain),
    };
  }

  /** The string, shared. */
  text(text: string): string {
    const known = this.#texts.get(text);
    if (known !== undefined) return known;
    if (this.#texts.size >= MAX_VALUES) this.#texts.clear();
    this.#texts.set(text, text);
    return text;
  }

  /** The selector, shared. */
  selector(selector: Selector): Selector {
    const text = selectorText(selector);
    const known = this.#selectors.get(text);
    if (known !== undefined) return known;
    if (this.#selectors.size >= MAX_VALUES) this.#selectors.clear();
    const shared = { type: this.text(selector.type), value: selector.value };
    this.#selectors.set(text, shared);
    return shared;
  }
}
