/** `npm run fuzz`: every target in turn, a line for each, and a status that says whether something was found. */
import { readFileSync, writeFileSync } from "node:fs";
import { GENUINE } from "../../test/fuzz/seeds/genuine.ts";
import { TARGETS } from "../../test/fuzz/targets/all.ts";
import { tryInput } from "./engine.ts";
import { CorpusFolder, saveFinding } from "./files.ts";
import { help, type Options, parseOptions } from "./options.ts";
import { supervise } from "./supervise.ts";
import type { RunResult } from "./target.ts";

const MODULE = new URL("../../test/fuzz/targets/all.ts", import.meta.url).href;
const HEAD = ["target", "executions", "per second", "accepted", "kept", "reached", "slowest", "seconds"];

process.exitCode = await main();

async function main(): Promise<number> {
  let options: Options;
  try {
    options = parseOptions(process.argv.slice(2), TARGETS);
  } catch (error) {
    console.error(`fuzz: ${error instanceof Error ? error.message : String(error)}; see --help`);
    return 2;
  }
  if (options.help) {
    console.log(help(TARGETS));
    return 0;
  }
  return options.replay === undefined ? runAll(options) : replay(options, options.replay);
}

async function runAll(options: Options): Promise<number> {
  const share = options.seconds / options.targets.length;
  const genuine = GENUINE.length === 0 ? "none here; seeds are those that code makes" : `of ${GENUINE.length} devices`;
  console.log(`seed ${options.seed}, Node ${process.version}\ngenuine quotes: ${genuine}\n${line(HEAD)}`);
  const results: Record<string, RunResult> = {};
  let status = 0;
  for (const name of options.targets) {
    const result = await runOne(options, name, share);
    results[name] = result;
    console.log(line([name, ...numbers(result)]));
    for (const finding of result.findings) {
      status = 1;
      const file = saveFinding(options.findings, finding);
      console.log(`  FOUND: ${finding.what}\n  npm run fuzz -- --target ${name} --replay ${file}`);
    }
  }
  if (options.json !== undefined) writeFileSync(options.json, json(options, results));
  console.log(status === 0 ? "nothing was found" : "something was found");
  return status;
}

function runOne(options: Options, target: string, seconds: number): Promise<RunResult> {
  const corpus = options.corpus === undefined ? undefined : new CorpusFolder(options.corpus, target);
  const { seed, runs, cpuSeconds, keepGoing } = options;
  const instrumented = TARGETS.find(({ name }) => name === target)?.covers ?? [];
  return supervise({
    module: MODULE,
    target,
    seed,
    runs,
    seconds,
    cpuSeconds,
    keepGoing,
    instrumented,
    extraSeeds: corpus?.read() ?? [],
    onKept: (input) => corpus?.add(input),
    onProgress: (executions) => {
      if (process.stderr.isTTY) process.stderr.write(`\r${target}: ${executions}\r`);
    },
  });
}

async function replay(options: Options, file: string): Promise<number> {
  const target = TARGETS.find(({ name }) => name === options.targets[0]);
  if (target === undefined) return 2;
  const what = await tryInput(target, new Uint8Array(readFileSync(file)));
  console.log(what === undefined ? "no finding" : `FOUND: ${what}`);
  return what === undefined ? 0 : 1;
}

function numbers(result: RunResult): readonly string[] {
  const { executions, accepted, corpus, reached, places, slowestMs, seconds } = result;
  return [
    String(executions),
    String(Math.round(executions / seconds)),
    `${((100 * accepted) / Math.max(1, executions)).toFixed(1)} %`,
    String(corpus),
    `${reached}/${places}`,
    `${slowestMs.toFixed(1)} ms`,
    seconds.toFixed(1),
  ];
}

function line(cells: readonly string[]): string {
  return cells.map((cell, column) => (column === 0 ? cell.padEnd(16) : cell.padStart(11))).join("");
}

function json({ seed }: Options, results: Readonly<Record<string, RunResult>>): string {
  const rows = Object.entries(results).map(([target, { findings, ...counts }]) => ({
    target,
    ...counts,
    found: findings.map(({ what }) => what),
  }));
  return `${JSON.stringify({ seed, node: process.version, date: new Date().toISOString(), targets: rows }, undefined, 2)}\n`;
}
