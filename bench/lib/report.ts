/** The table and the JSON. */
import type { ScenarioResult } from "./runner.ts";
import type { Measure } from "./scenario.ts";
import { judge, judgeGrowth, targetText } from "./verdict.ts";

/** Facts about the run, printed above the table. */
export interface RunFacts {
  readonly date: string;
  readonly ours: string;
  readonly peer: string;
  readonly node: string;
  readonly kernel: string;
  readonly cores: number;
  readonly openFiles: number;
  readonly streams: number;
  /** To append a page to a file and have it on the disk. */
  readonly diskSyncMicros: number;
  readonly rounds: number;
  readonly quick: boolean;
  readonly outageSeconds: number;
}

const HEAD = ["", "ours", "SPIRE", "ratio", "target", ""];

/** The rows of one scenario, a title line and its measures. */
export function tableRows(result: ScenarioResult): readonly (readonly string[])[] {
  const rows = result.scenario.measures.flatMap((measure) => {
    const { ours, peer, ratio, met } = outcomeOf(result, measure);
    // Sizes that were left out in both columns; what failed is said below the row.
    if (ours === undefined && peer === undefined) return [];
    return [
      [
        `  ${measure.label}`,
        withUnit(ours, measure.unit),
        withUnit(peer, measure.unit),
        ratio === undefined ? "" : `${number(ratio)} ×`,
        targetText(measure),
        met === undefined ? "" : met ? "ok" : "MISS",
      ],
    ];
  });
  return [[`${result.scenario.title} [${result.scenario.name}]`], ...rows];
}

/** The whole table as text. */
export function table(results: readonly ScenarioResult[]): string {
  const blocks = results.map((result) => ({ result, rows: tableRows(result) }));
  const cells = [HEAD, ...blocks.flatMap(({ rows }) => rows.slice(1))];
  const widths = HEAD.map((_, column) => Math.max(...cells.map((row) => (row[column] ?? "").length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join("  ")
      .trimEnd();
  return [
    line(HEAD),
    ...blocks.flatMap(({ result, rows }) => [
      "",
      rows[0]?.[0] ?? "",
      ...rows.slice(1).map(line),
      ...growthLines(result),
      ...result.notes.map((note) => `  · ${note}`),
      ...result.failures.map((failure) => `  ! failed: ${failure.split("\n").join("\n    ")}`),
    ]),
  ].join("\n");
}

/** How our costs grew, a line each. */
export function growthLines({ scenario, columns }: ScenarioResult): readonly string[] {
  return (scenario.growth ?? []).flatMap((growth) => {
    const grown = judgeGrowth(growth, columns.ours?.medians ?? {});
    if (grown === undefined) return [];
    const exponents = grown.exponents.map((exponent) => exponent.toFixed(2)).join(", ");
    return [`  growth of ${growth.label}: exponents ${exponents}: ${grown.met ? "ok" : "MISS, faster than its cause"}`];
  });
}

/** Everything as plain data. */
export function json(facts: RunFacts, results: readonly ScenarioResult[]): string {
  const scenarios = results.map((result) => ({
    name: result.scenario.name,
    title: result.scenario.title,
    notes: result.notes,
    failures: result.failures,
    growth: (result.scenario.growth ?? []).map((growth) => ({
      ...growth,
      ours: judgeGrowth(growth, result.columns.ours?.medians ?? {}),
      peer: judgeGrowth(growth, result.columns.peer?.medians ?? {}),
    })),
    measures: result.scenario.measures.map((measure) => ({
      ...measure,
      ...outcomeOf(result, measure),
      rounds: {
        ours: result.columns.ours?.rounds.map((round) => round[measure.key]),
        peer: result.columns.peer?.rounds.map((round) => round[measure.key]),
      },
    })),
  }));
  return `${JSON.stringify({ facts, scenarios }, undefined, 2)}\n`;
}

/** How many targets were met, and how many not. */
export function score(results: readonly ScenarioResult[]): { readonly ok: number; readonly miss: readonly string[] } {
  const judged = results.flatMap((result) =>
    result.scenario.measures.map((measure) => ({
      name: `${result.scenario.name}: ${measure.label}`,
      met: outcomeOf(result, measure).met,
    })),
  );
  const grown = results.flatMap(({ scenario, columns }) =>
    (scenario.growth ?? []).map((growth) => ({
      name: `${scenario.name}: growth of ${growth.label}`,
      met: judgeGrowth(growth, columns.ours?.medians ?? {})?.met,
    })),
  );
  const all = [...judged, ...grown];
  return {
    ok: all.filter(({ met }) => met === true).length,
    miss: all.filter(({ met }) => met === false).map(({ name }) => name),
  };
}

function outcomeOf(result: ScenarioResult, measure: Measure): ReturnType<typeof judge> {
  const { ours, peer } = result.columns;
  return judge(measure, ours?.medians[measure.key], peer?.medians[measure.key]);
}

function withUnit(value: number | undefined, unit: string): string {
  if (value === undefined) return "–";
  return unit === "/s" ? `${number(value)}/s` : `${number(value)} ${unit}`.trim();
}

/** Three digits that mean something, thousands apart. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const digits = value === 0 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toLocaleString("en-US", { maximumFractionDigits: Math.min(digits, 3) });
}
