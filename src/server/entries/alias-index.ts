/** Node aliases: entries whose parent is the server, and which name all nodes that have certain selectors. */
import type { RegistrationEntry } from "../../spiffe/entry.ts";
import { isSubset, selectorText } from "../../spiffe/selector.ts";
import { Groups } from "./groups.ts";

/** Each alias hangs on one of its selectors: a node has the alias only if it has that one. */
export class AliasIndex {
  readonly #bySelector = new Groups<string>();
  readonly #keys = new Map<string, string>();

  /** Adds an alias that is not in it. */
  add(entry: RegistrationEntry): void {
    // The selector that the fewest aliases hang on keeps the lists short, however common the others are.
    let best: string | undefined;
    for (const text of entry.selectors.map(selectorText)) {
      if (best === undefined || this.#bySelector.count(text) < this.#bySelector.count(best)) best = text;
    }
    if (best === undefined) return;
    this.#keys.set(entry.entryId, best);
    this.#bySelector.add(best, entry);
  }

  /** Takes an alias out. */
  remove(entryId: string): void {
    const key = this.#keys.get(entryId);
    if (key === undefined) return;
    this.#keys.delete(entryId);
    this.#bySelector.remove(key, entryId);
  }

  /** The aliases of a node with these selectors (`selectorText` forms). */
  *matching(texts: ReadonlySet<string>): Iterable<RegistrationEntry> {
    for (const text of texts) {
      for (const entry of this.#bySelector.of(text)) if (isSubset(entry.selectors, texts)) yield entry;
    }
  }
}
