import { describe, expect, test } from "vitest";
import { SubsetIndex, SupersetIndex } from "../../src/agent/selector-index.ts";
import { seededRandom } from "../fakes/ca.ts";

/** Counts how often it is asked. */
class CountingSet extends Set<string> {
  asked = 0;
  override has(text: string): boolean {
    this.asked++;
    return super.has(text);
  }
}

describe("SubsetIndex", () => {
  test("agrees with looking at everything, through additions and removals", () => {
    const random = seededRandom(7);
    const pick = (count: number): string[] => {
      const texts = new Set<string>();
      while (texts.size < count) texts.add(`s${Math.floor(random.unit() * 12)}`);
      return [...texts];
    };
    const index = new SubsetIndex<number>();
    const items = new Map<number, string[]>();
    for (let round = 0; round < 2_000; round++) {
      if (random.unit() < 0.6 || items.size === 0) {
        const texts = pick(1 + Math.floor(random.unit() * 4));
        items.set(round, texts);
        index.add(round, texts);
      } else {
        const [victim] = [...items.keys()].slice(Math.floor(random.unit() * items.size));
        items.delete(victim!);
        index.remove(victim!);
      }
      if (round % 20 !== 0) continue;
      const caller = new Set(pick(Math.floor(random.unit() * 12)));
      const expected = [...items].filter(([, texts]) => texts.every((text) => caller.has(text))).map(([item]) => item);
      expect(index.within(caller).sort((a, b) => a - b)).toEqual(expected.sort((a, b) => a - b));
    }
  });

  test("a lookup among 10,000 entries that share a selector looks at the one that matches", () => {
    const index = new SubsetIndex<number>();
    for (let item = 0; item < 10_000; item++) index.add(item, ["unix:user:app", `unix:path:/bin/${item}`]);
    const caller = new CountingSet(["unix:user:app", "unix:path:/bin/77", "unix:uid:5"]);
    expect(index.within(caller)).toEqual([77]);
    expect(caller.asked).toBeLessThan(10);
  });

  test("finds nothing for nobody, and forgets what was removed", () => {
    const index = new SubsetIndex<string>();
    index.add("a", ["x"]);
    expect(index.within(new Set())).toEqual([]);
    index.remove("a");
    index.remove("a");
    expect(index.within(new Set(["x"]))).toEqual([]);
  });
});

describe("SupersetIndex", () => {
  test("finds those that have all of the selectors", () => {
    const index = new SupersetIndex<{ readonly name: string; readonly texts: ReadonlySet<string> }>();
    const callers = [["x"], ["x", "y"], ["x", "y", "z"], []].map((texts, at) => ({
      name: `${at}`,
      texts: new Set(texts),
    }));
    for (const caller of callers) index.add(caller);
    const names = (...texts: string[]) => index.containing(texts).map(({ name }) => name);
    expect(names("x")).toEqual(["0", "1", "2"]);
    expect(names("y", "x")).toEqual(["1", "2"]);
    expect(names("y", "q")).toEqual([]);
    index.remove(callers[1]!);
    expect(names("x", "y")).toEqual(["2"]);
  });
});
