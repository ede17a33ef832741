/** Runs scenarios: sets each up for every subject, then measures the subjects in turn, round by round. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Context, Prepared, Scenario, Values } from "./scenario.ts";
import { medians } from "./statistics.ts";
import type { Subject } from "./subject.ts";

/** What a column came to. */
export interface ColumnResult {
  readonly medians: Values;
  readonly rounds: readonly Values[];
}

/** What a scenario came to. */
export interface ScenarioResult {
  readonly scenario: Scenario;
  readonly columns: { readonly ours?: ColumnResult; readonly peer?: ColumnResult };
  readonly notes: readonly string[];
  /** Why a column is missing that should be there. */
  readonly failures: readonly string[];
}

/** What every scenario is told. */
export type RunOptions = Omit<Context, "folder" | "note"> & { readonly folder: string; readonly rounds: number };

/** Runs one scenario. `say` hears what is being done. */
export async function runScenario(
  scenario: Scenario,
  subjects: readonly Subject[],
  options: RunOptions,
  say: (doing: string) => void,
): Promise<ScenarioResult> {
  const notes = new Set<string>();
  const failures: string[] = [];
  const running: { readonly subject: Subject; readonly prepared: Prepared; readonly rounds: Values[] }[] = [];
  const failed = (subject: Subject, error: unknown): void => {
    failures.push(`${subject.name}: ${error instanceof Error ? error.message : String(error)}`);
  };
  await using stack = new AsyncDisposableStack();
  for (const subject of subjects) {
    say(`setting up ${subject.name}`);
    const folder = join(options.folder, `${scenario.name}-${subject.column}`);
    mkdirSync(folder, { mode: 0o755 });
    const note = (text: string): void => void notes.add(`${subject.name}: ${text}`);
    try {
      const prepared = await scenario.prepare(subject, { ...options, folder, note });
      if (prepared !== undefined) running.push({ subject, prepared: stack.use(prepared), rounds: [] });
    } catch (error) {
      failed(subject, error);
    }
  }
  const rounds = Math.min(options.rounds, scenario.rounds ?? options.rounds);
  const warm = scenario.warm === true && !options.quick ? 1 : 0;
  for (let round = -warm; round < rounds; round++) {
    for (const column of running.values().toArray()) {
      say(`${column.subject.name}, ${round < 0 ? "warming up" : `round ${round + 1} of ${rounds}`}`);
      try {
        const values = await column.prepared.round();
        if (round >= 0) column.rounds.push(values);
      } catch (error) {
        failed(column.subject, error);
        running.splice(running.indexOf(column), 1);
      }
    }
  }
  say("stopping");
  const columns = Object.fromEntries(
    running.map(({ subject, rounds }) => [subject.column, { medians: medians(rounds), rounds }]),
  );
  return { scenario, columns, notes: [...notes], failures };
}
