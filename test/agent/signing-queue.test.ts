import { describe, expect, test } from "vitest";
import { signingQueue } from "../../src/agent/signing-queue.ts";
import type { CachedEntry } from "../../src/agent/svid-cache.ts";
import { authorized, cached, issued } from "./entries.ts";

const NOW = 1_000_000;
const context = { now: NOW, isTainted: () => false, resting: new Map<string, number>() };
const entry = authorized("a", ["unix:uid:1"]);
const good = issued(entry, NOW + 1_000, NOW + 500);

describe("signingQueue", () => {
  test.each<[string, CachedEntry, string | undefined]>([
    ["an entry without an SVID", cached(entry), "none"],
    ["an expired SVID", cached(entry, { issued: issued(entry, NOW) }), "none"],
    ["an SVID at its time", cached(entry, { issued: issued(entry, NOW + 1_000, NOW) }), "expiring"],
    ["an SVID in its youth", cached(entry, { issued: good }), undefined],
    ["another revision", cached({ ...entry, revision: 1n }, { issued: good }), "outdated"],
    ["an entry made anew", cached({ ...entry, createdAt: 2 }, { issued: good }), "outdated"],
    ["not to be fetched ahead", cached({ ...entry, disableX509SvidPrefetch: true }), undefined],
    ["not ahead, but wanted", cached({ ...entry, disableX509SvidPrefetch: true }, { wanted: true }), "none"],
  ])("%s", (_name, state, need) => {
    const { due, counts } = signingQueue([state], context);
    expect(due).toEqual(need === undefined ? [] : [state]);
    if (need !== undefined) expect(counts[need as keyof typeof counts]).toBe(1);
  });

  test("an SVID below a tainted authority", () => {
    const { counts } = signingQueue([cached(entry, { issued: good })], { ...context, isTainted: () => true });
    expect(counts.tainted).toBe(1);
  });

  test("first those whom somebody waits for, then those with the least life left", () => {
    const make = (id: string, notAfter?: number, wanted = false): CachedEntry => {
      const one = authorized(id, ["unix:uid:1"]);
      return cached(one, { wanted, issued: notAfter === undefined ? undefined : issued(one, notAfter, NOW) });
    };
    const entries = [
      make("long", NOW + 900),
      make("none"),
      make("short", NOW + 100, true),
      make("waited", undefined, true),
    ];
    const { due, waiting } = signingQueue(entries, context);
    expect(due.map(({ entry: { entryId } }) => entryId)).toEqual(["waited", "none", "short", "long"]);
    expect(waiting).toBe(1);
  });

  test("an entry that failed rests, and says until when", () => {
    const resting = new Map([["a", NOW + 50]]);
    expect(signingQueue([cached(entry)], { ...context, resting })).toMatchObject({ due: [], nextDueAt: NOW + 50 });
    expect(signingQueue([cached(entry)], { ...context, now: NOW + 50, resting }).due).toHaveLength(1);
  });

  test("says when it must look again", () => {
    const other = authorized("b", ["unix:uid:1"]);
    const entries = [cached(entry, { issued: good }), cached(other, { issued: issued(other, NOW + 900, NOW + 300) })];
    expect(signingQueue(entries, context).nextDueAt).toBe(NOW + 300);
    expect(signingQueue([], context).nextDueAt).toBe(Number.POSITIVE_INFINITY);
  });
});
