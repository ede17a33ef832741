/** What changed between two versions of an entry. */
import type { AuthorizedEntry } from "../spiffe/entry.ts";
import { selectorText } from "../spiffe/selector.ts";

/** Whether they are one version: an entry that was deleted and made again has another creation time. */
export function sameEntry(a: AuthorizedEntry, b: AuthorizedEntry): boolean {
  return (
    a === b ||
    (a.revision === b.revision && a.createdAt === b.createdAt && a.spiffeId === b.spiffeId && sameSelectors(a, b))
  );
}

/** Whether they match the same callers. */
export function sameSelectors(a: AuthorizedEntry, b: AuthorizedEntry): boolean {
  if (a.selectors === b.selectors) return true;
  // Servers send them in one order; only when they do not is it worth looking for them.
  const inOrder =
    a.selectors.length === b.selectors.length &&
    a.selectors.every((one, index) => {
      const other = b.selectors[index];
      return one.type === other?.type && one.value === other.value;
    });
  if (inOrder) return true;
  const texts = new Set(a.selectors.map(selectorText));
  return (
    texts.size === new Set(b.selectors.map(selectorText)).size &&
    b.selectors.every((selector) => texts.has(selectorText(selector)))
  );
}
