/** The list of the bench's rows. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { SCENARIOS } from "../../bench/rows/all.ts";

test("every row has a name and measures of its own", () => {
  const names = SCENARIOS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const { name, measures } of SCENARIOS) {
    const keys = measures.map(({ key }) => key);
    expect([name, new Set(keys).size]).toEqual([name, keys.length]);
  }
});

test("the bench's page tells of every row", () => {
  const page = readFileSync(new URL("../../bench/README.md", import.meta.url), "utf8");
  // Rows of one kind have a line together: `growth-…`, `bad-callers-…`, `start-1`, `-100`.
  const isTold = (name: string): boolean => {
    const words = name.split("-");
    const kinds = words.map((_, count) => `${words.slice(0, count + 1).join("-")}-…`);
    return [name, `-${words.at(-1)}`, ...kinds].some((text) => page.includes(`\`${text}\``));
  };
  expect(SCENARIOS.map(({ name }) => name).filter((name) => !isTold(name))).toEqual([]);
});
