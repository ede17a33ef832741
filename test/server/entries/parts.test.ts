import { describe, expect, test } from "vitest";
import { ExpiryQueue } from "../../../src/server/entries/expiry-queue.ts";
import { Revisions } from "../../../src/server/entries/revisions.ts";
import { View, ViewCache } from "../../../src/server/entries/view-cache.ts";
import type { SpiffeId } from "../../../src/spiffe/id.ts";
import { entry, id } from "../../fakes/entries.ts";

describe("expiry queue", () => {
  test("gives back in order of time", () => {
    const queue = new ExpiryQueue();
    const times = [5, 3, 9, 1, 7, 3, 8, 2, 6, 4, 0, 5];
    for (const [index, time] of times.entries()) queue.push(`${time}-${index}`, time);
    expect(queue.next).toBe(0);
    expect(queue.due(3).map((text) => Number.parseInt(text, 10))).toEqual([0, 1, 2, 3, 3]);
    expect(queue.due(3)).toEqual([]);
    expect(queue.due(100).map((text) => Number.parseInt(text, 10))).toEqual([4, 5, 5, 6, 7, 8, 9]);
    expect(queue.next).toBeUndefined();
  });
});

describe("view cache", () => {
  const agent = (name: string): SpiffeId => id(`/spire/agent/test/${name}`);
  const view = (count: number, validUntil = Number.POSITIVE_INFINITY): View =>
    new View({ entries: Array.from({ length: count }, (_, index) => entry(`e${index}`)), validUntil });

  test("forgets the least recently used when the entries they refer to are too many", () => {
    const cache = new ViewCache(100);
    cache.add(agent("a"), view(30));
    cache.add(agent("b"), view(30));
    expect(cache.get(agent("a"), 0)).toBeDefined();
    cache.add(agent("c"), view(30));
    expect(cache.get(agent("b"), 0)).toBeUndefined();
    expect(cache.get(agent("a"), 0)).toBeDefined();
    cache.delete(agent("a"));
    cache.delete(agent("a"));
    cache.add(agent("d"), view(30));
    expect(cache.size).toBe(2);
    cache.add(agent("e"), view(200));
    expect(cache.size).toBe(0);
  });

  test("holds a view no longer than it is valid", () => {
    const cache = new ViewCache();
    cache.add(agent("a"), view(1, 50));
    expect(cache.get(agent("a"), 49)?.get("e0")).toEqual(entry("e0"));
    expect(cache.get(agent("a"), 50)).toBeUndefined();
    expect(cache.size).toBe(0);
  });
});

describe("revisions", () => {
  test("grow for those concerned only, and differ between runs", () => {
    const revisions = new Revisions(1_000);
    const [a, b] = [id("/a"), id("/b")];
    const first = revisions.of(a);
    revisions.raise(new Set([a]));
    expect(revisions.of(a)).toBeGreaterThan(first);
    expect(revisions.of(b)).toBe(first);
    revisions.raise("all");
    expect(revisions.of(b)).toBe(revisions.of(a));
    expect(revisions.of(b)).toBeGreaterThan(first + 1n);
    expect(new Revisions(1_001).of(a)).toBeGreaterThan(revisions.of(a));
  });
});
