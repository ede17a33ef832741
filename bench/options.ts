/** The bench's command line. */
import { parseArgs } from "node:util";

/** What was asked for. */
export interface Options {
  /** Names of scenarios; empty for all. */
  readonly only: readonly string[];
  readonly rounds: number;
  readonly quick: boolean;
  readonly json: string;
  readonly outageSeconds: number;
  /** Folder with our two programs, instead of this checkout's. */
  readonly programs: string | undefined;
  readonly selfTest: boolean;
  readonly noPeer: boolean;
  /** Leaves the folder with the programs' files and logs behind. */
  readonly keep: boolean;
  readonly list: boolean;
  readonly help: boolean;
}

export const HELP = `usage: npm run bench -- [options]

Measures the programs of this checkout, and beside them spire-server and spire-agent
when both are on PATH: the same client, the same files, rounds in turn. Prints a table.

  --only NAME        only this scenario; may be repeated, and may be a prefix such as "growth-"
  --rounds N         rounds of each scenario; the table has their medians (default 3)
  --quick            one round with small counts: shows that everything runs, not how fast
  --outage SECONDS   how long the server stays away in the row "outage" (default 20)
  --json FILE        where the numbers go (default bench/results/latest.json)
  --programs FOLDER  take holdfast-server and holdfast-agent from FOLDER
  --no-peer          leave SPIRE's programs out
  --self-test        SPIRE's programs in both columns: every ratio must come out near 1
  --keep             leave the folder with the programs' configurations and logs, and say where
  --list             names of the scenarios
  --help             this text
`;

/** Reads the command line. Throws an `Error` with one line that says what is wrong. */
export function parseOptions(args: readonly string[], names: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: "string", multiple: true, default: [] },
      rounds: { type: "string" },
      quick: { type: "boolean", default: false },
      outage: { type: "string", default: "20" },
      json: { type: "string", default: "bench/results/latest.json" },
      programs: { type: "string" },
      "no-peer": { type: "boolean", default: false },
      "self-test": { type: "boolean", default: false },
      keep: { type: "boolean", default: false },
      list: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  const only = [...new Set(values.only.flatMap((wanted) => matching(wanted, names)))];
  return {
    only,
    rounds: whole("rounds", values.rounds ?? (values.quick ? "1" : "3")),
    quick: values.quick,
    json: values.json,
    outageSeconds: whole("outage", values.outage),
    programs: values.programs,
    selfTest: values["self-test"],
    noPeer: values["no-peer"],
    keep: values.keep,
    list: values.list,
    help: values.help,
  };
}

function matching(wanted: string, names: readonly string[]): readonly string[] {
  if (names.includes(wanted)) return [wanted];
  const found = names.filter((name) => name.startsWith(wanted));
  if (found.length === 0) throw new Error(`--only ${wanted}: no such scenario; there are ${names.join(", ")}`);
  return found;
}

function whole(name: string, text: string): number {
  const number = Number(text);
  if (!/^\d+$/.test(text) || number < 1) throw new Error(`--${name} ${text}: not a whole number of at least 1`);
  return number;
}
