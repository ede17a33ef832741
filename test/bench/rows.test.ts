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
  // Rows of one kind have a line together: `growth-…`, `start-1`, `-100`.
  const isTold = (name: string): boolean =>
    [name, `${name.split("-")[0]}-…`, `-${name.split("-").at(-1)}`].some((text) => page.includes(`\`${text}\``));
  expect(SCENARIOS.map(({ name }) => name).filter((name) => !isTold(name))).toEqual([]);
});
