/** Which of the entries that a caller matches this API serves. */
import type { AuthorizedEntry } from "../spiffe/entry.ts";

/**
 * None that is meant for a store of secrets only, and of several with the same hint the oldest (by ID when equally
 * old): hints are unique within an answer (Workload API 5.2.1, 6.2.1). The order stays.
 */
export function servedBy<T>(items: readonly T[], entryOf: (item: T) => AuthorizedEntry): readonly T[] {
  const byHint = new Map<string, T>();
  const served = items.filter((item) => !entryOf(item).storeSvid);
  for (const item of served) {
    const entry = entryOf(item);
    const rival = byHint.get(entry.hint);
    if (rival === undefined || isOlder(entry, entryOf(rival))) byHint.set(entry.hint, item);
  }
  return served.filter((item) => {
    const { hint } = entryOf(item);
    return hint === "" || byHint.get(hint) === item;
  });
}

function isOlder(a: AuthorizedEntry, b: AuthorizedEntry): boolean {
  return a.createdAt < b.createdAt || (a.createdAt === b.createdAt && a.entryId < b.entryId);
}
