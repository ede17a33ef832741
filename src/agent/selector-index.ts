/** Sets of selectors found by inclusion, without looking at all of them. Selectors are their text forms. */

/** Finds the items all of whose selectors are in a given set: which entries a caller matches. */
export class SubsetIndex<T> {
  /** Each item stands once, under the selector that fewest others stood under when it came. */
  readonly #byText = new Map<string, Map<T, readonly string[]>>();
  readonly #place = new Map<T, string>();

  /** `texts` must not be empty. */
  add(item: T, texts: readonly string[]): void {
    let rarest: string | undefined;
    let fewest = Number.POSITIVE_INFINITY;
    for (const text of texts) {
      const count = this.#byText.get(text)?.size ?? 0;
      if (count < fewest) [rarest, fewest] = [text, count];
    }
    if (rarest === undefined) return;
    const items = this.#byText.get(rarest) ?? new Map<T, readonly string[]>();
    items.set(item, texts);
    this.#byText.set(rarest, items);
    this.#place.set(item, rarest);
  }

  remove(item: T): void {
    const place = this.#place.get(item);
    if (place === undefined) return;
    this.#place.delete(item);
    const items = this.#byText.get(place);
    items?.delete(item);
    if (items?.size === 0) this.#byText.delete(place);
  }

  /** In no particular order. */
  within(texts: ReadonlySet<string>): T[] {
    const found: T[] = [];
    for (const text of texts) {
      for (const [item, needed] of this.#byText.get(text) ?? []) {
        if (needed.every((one) => texts.has(one))) found.push(item);
      }
    }
    return found;
  }
}

/** Finds the items whose set holds all of the given selectors: which callers an entry concerns. */
export class SupersetIndex<T extends { readonly texts: ReadonlySet<string> }> {
  readonly #byText = new Map<string, Set<T>>();

  add(item: T): void {
    for (const text of item.texts) {
      const items = this.#byText.get(text) ?? new Set<T>();
      items.add(item);
      this.#byText.set(text, items);
    }
  }

  remove(item: T): void {
    for (const text of item.texts) {
      const items = this.#byText.get(text);
      items?.delete(item);
      if (items?.size === 0) this.#byText.delete(text);
    }
  }

  /** `texts` must not be empty. */
  containing(texts: readonly string[]): T[] {
    let smallest: ReadonlySet<T> | undefined;
    for (const text of texts) {
      const items = this.#byText.get(text);
      if (items === undefined) return [];
      if (smallest === undefined || items.size < smallest.size) smallest = items;
    }
    return [...(smallest ?? [])].filter((item) => texts.every((text) => item.texts.has(text)));
  }
}
