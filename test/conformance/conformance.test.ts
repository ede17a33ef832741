/** Holds docs/spiffe-conformance.md to the tests that it names, and the tests to rules that there are. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { RULES, rulesIn } from "./rules.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const page = readFileSync(join(ROOT, "docs/spiffe-conformance.md"), "utf8");

/** A row of the page: the rules it is about, and its other cells. */
interface Row {
  readonly section: string;
  readonly rules: readonly string[];
  readonly cells: readonly string[];
}

const rows: readonly Row[] = page.split(/^## /m).flatMap((part) => {
  const [section = "", ...lines] = part.split("\n");
  return lines
    .filter((line) => /^\| [A-Z0-9]+-\d/.test(line))
    .map((line) => {
      const [rule = "", ...cells] = line.slice(1, -1).split("|");
      return { section, rules: rulesIn(rule), cells: cells.map((cell) => cell.trim()) };
    });
});

const APART = ["Known deviations", "Not in this version", "Rules for others"];
const shown = rows.filter(({ section }) => !APART.includes(section));

/** The tests that a cell names: file, and text that stands in it. */
function testsIn(cell: string): readonly { readonly file: string; readonly name: string }[] {
  return [...cell.matchAll(/\]\(\.\.\/(test\/[^)]+)\) `([^`]+)`/g)].map(([, file = "", name = ""]) => ({ file, name }));
}

/** The rules that are cited where the text stands, at most two lines away; `undefined` when it stands nowhere. */
function citedAt(lines: readonly string[], name: string): readonly string[] | undefined {
  const places = lines.keys().filter((index) => lines[index]?.includes(name) === true);
  const cited = [...places].map((index) => rulesIn(lines.slice(Math.max(0, index - 2), index + 3).join("\n")));
  return cited.length === 0 ? undefined : cited.flat();
}

describe("the page", () => {
  test("has its sections", () => {
    expect(APART.filter((name) => !rows.some(({ section }) => section === name))).toEqual([]);
    expect(shown.length).toBeGreaterThan(100);
  });

  test("accounts for every rule, and shows none twice", () => {
    const named = rows.flatMap(({ rules }) => rules);
    expect([...RULES.keys()].filter((rule) => !named.includes(rule))).toEqual([]);
    expect(named.filter((rule) => !RULES.has(rule))).toEqual([]);
    const once = shown.flatMap(({ rules }) => rules);
    expect(once.filter((rule, index) => once.indexOf(rule) !== index)).toEqual([]);
  });

  test("gives each its level", () => {
    for (const { rules, cells } of rows) {
      const levels = [...new Set(rules.map((rule) => RULES.get(rule)?.level))];
      expect({ rules, level: cells[0]?.split(", ") }).toEqual({ rules, level: levels });
    }
  });

  test("leaves to others only what does not bind Holdfast, or says why", () => {
    const ours = rows
      .filter(({ section }) => section === "Rules for others")
      .flatMap(({ rules }) => rules)
      .filter((rule) => !/^[CB]+$/.test(RULES.get(rule)?.binds ?? ""));
    expect(ours.filter((rule) => !rule.startsWith("WIT-"))).toEqual([]);
  });

  test.each(shown.map((row) => [row.rules.join(), row] as const))("%s is shown", (_rules, { rules, cells }) => {
    const tests = testsIn(cells.at(-1) ?? "");
    expect(tests).not.toEqual([]);
    for (const { file, name } of tests) {
      expect(existsSync(join(ROOT, file)), file).toBe(true);
      const cited = citedAt(readFileSync(join(ROOT, file), "utf8").split("\n"), name);
      expect(cited, `${file} has no test "${name}"`).toBeDefined();
      for (const rule of rules) expect(cited, `"${name}" of ${file} does not cite ${rule}`).toContain(rule);
    }
  });
});

test("no test cites a rule that there is not", () => {
  const unknown = readdirSync(join(ROOT, "test"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .flatMap((file) =>
      rulesIn(readFileSync(join(ROOT, "test", file), "utf8"))
        .filter((rule) => !RULES.has(rule))
        .map((rule) => `${file}: ${rule}`),
    );
  expect(unknown).toEqual([]);
});
