/** The fuzzer's command line. */
import { parseArgs } from "node:util";

/** What was asked for. */
export interface Options {
  /** Names of targets. */
  readonly targets: readonly string[];
  /** Of all targets together. */
  readonly seconds: number;
  /** Of each target. */
  readonly runs: number;
  /** Of processor time, of each target. */
  readonly cpuSeconds: number;
  readonly seed: number;
  readonly keepGoing: boolean;
  readonly corpus: string | undefined;
  readonly findings: string | undefined;
  readonly replay: string | undefined;
  readonly json: string | undefined;
  readonly help: boolean;
}

/** A target, as far as the help tells of it. */
export interface Known {
  readonly name: string;
  readonly about: string;
}

const DEFAULT_SECONDS = 60;

/** The manual. */
export function help(known: readonly Known[]): string {
  const width = Math.max(...known.map(({ name }) => name.length));
  return `NAME
  npm run fuzz - looks for bytes that the readers of what peers send do not survive

SYNOPSIS
  npm run fuzz -- [--time SECONDS] [--runs N] [--cpu SECONDS] [--target NAME]... [--seed N]
                  [--keep-going] [--corpus DIR] [--findings DIR] [--json FILE]
  npm run fuzz -- --target NAME --replay FILE
  npm run fuzz -- --help

DESCRIPTION
  Changes valid structures, one change upon another, and runs each with the code under
  test. Inputs that reach code which none before them reached are changed further. A
  finding is an exception that is not documented, a promise that does not hold (what is
  read is written again as the same, a second reader agrees, nothing unsigned is believed,
  no prototype changes), more than 100 ms for one input, a hang, or a want of memory. The input is
  saved, the target ends there, and the next begins.

OPTIONS
  --time SECONDS  for all targets together, in equal shares (default ${DEFAULT_SECONDS}; without limit beside
                  --runs and --cpu)
  --runs N        executions of each target; of several limits, whichever comes first
  --cpu SECONDS   processor time of each target
  --target NAME   only this target; may be repeated
  --seed N        for the same inputs again (default: by chance; it is printed)
  --keep-going    do not end a target at its first finding; one input of each kind is saved
  --corpus DIR    reads more inputs from DIR/TARGET and adds there what reached something new
  --findings DIR  where inputs of findings are saved (default: a new folder for temporary files)
  --replay FILE   runs one saved input and says what comes of it
  --json FILE     also writes the counts there
  --help          this text

TARGETS
${known.map(({ name, about }) => `  ${name.padEnd(width)}  ${about}`).join("\n")}

EXIT STATUS
  0  nothing was found
  1  something was found; its input was saved
  2  the command line is wrong
  3  npm is missing
`;
}

/** Reads the command line. Throws an `Error` with one line that says what is wrong. */
export function parseOptions(args: readonly string[], known: readonly Known[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      time: { type: "string" },
      runs: { type: "string" },
      cpu: { type: "string" },
      target: { type: "string", multiple: true, default: [] },
      seed: { type: "string" },
      "keep-going": { type: "boolean", default: false },
      corpus: { type: "string" },
      findings: { type: "string" },
      replay: { type: "string" },
      json: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  const names = known.map(({ name }) => name);
  const unknown = values.target.find((name) => !names.includes(name));
  if (unknown !== undefined) throw new Error(`--target ${unknown}: no such target; there are ${names.join(", ")}`);
  if (values.replay !== undefined && values.target.length !== 1) throw new Error("--replay needs one --target");
  const unlimited = values.runs === undefined && values.cpu === undefined ? DEFAULT_SECONDS : Number.POSITIVE_INFINITY;
  return {
    targets: values.target.length === 0 ? names : [...new Set(values.target)],
    seconds: values.time === undefined ? unlimited : whole("time", values.time),
    runs: values.runs === undefined ? Number.POSITIVE_INFINITY : whole("runs", values.runs),
    cpuSeconds: values.cpu === undefined ? Number.POSITIVE_INFINITY : whole("cpu", values.cpu),
    seed: values.seed === undefined ? 1 + Math.floor(Math.random() * 2 ** 31) : whole("seed", values.seed),
    keepGoing: values["keep-going"],
    corpus: values.corpus,
    findings: values.findings,
    replay: values.replay,
    json: values.json,
    help: values.help,
  };
}

function whole(name: string, text: string): number {
  const number = Number(text);
  if (!/^\d+$/.test(text) || number < 1 || !Number.isSafeInteger(number))
    throw new Error(`--${name} ${text}: not a whole number of at least 1`);
  return number;
}
