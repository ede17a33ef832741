/** The bench: speed and size of our programs beside SPIRE's, as a table and as JSON. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, release, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { run } from "../scripts/lib/programs.ts";
import { syncMicros } from "./lib/disk.ts";
import { childrenOf, openFileLimit } from "./lib/process-cost.ts";
import { Progress } from "./lib/progress.ts";
import { json, type RunFacts, score, table } from "./lib/report.ts";
import { runScenario, type ScenarioResult } from "./lib/runner.ts";
import type { Scenario } from "./lib/scenario.ts";
import { holdfast, type Subject, spire } from "./lib/subject.ts";
import { HELP, type Options, parseOptions } from "./options.ts";
import { SCENARIOS } from "./rows/all.ts";

const MOST_STREAMS = 10_000;
/** Open files that are not streams' own. */
const OTHER_FILES = 1_000;
/** A stream takes a socket and a handle of the caller's process. */
const FILES_A_STREAM = 2;
/** Connections besides the streams, which count as well. */
const OTHER_CONNECTIONS = 50;

process.exitCode = await main();

async function main(): Promise<number> {
  const names = SCENARIOS.map(({ name }) => name);
  let options: Options;
  try {
    options = parseOptions(process.argv.slice(2), names);
  } catch (error) {
    console.error(`bench: ${error instanceof Error ? error.message : String(error)}; see --help`);
    return 2;
  }
  if (options.help || options.list) {
    console.log(options.help ? `${HELP}\nscenarios: ${names.join(", ")}` : names.join("\n"));
    return 0;
  }
  const peer = options.noPeer ? undefined : spire();
  if (options.selfTest && peer === undefined) {
    console.error("bench: --self-test needs spire-server and spire-agent on PATH");
    return 2;
  }
  const ours: Subject =
    options.selfTest && peer !== undefined ? { ...peer, column: "ours" } : holdfast(options.programs);
  const subjects = peer === undefined ? [ours] : [ours, peer];
  const facts = await factsOf(options, ours, peer);
  console.log(describe(facts));
  const results = await runAll(options, subjects, facts.streams);
  console.log(`\n${table(results)}\n`);
  const { ok, miss } = score(results);
  console.log(`${ok} targets met, ${miss.length} missed${miss.map((name) => `\n  ${name}`).join("")}`);
  mkdirSync(dirname(options.json), { recursive: true });
  writeFileSync(options.json, json(facts, results));
  console.log(`numbers of every round: ${options.json}`);
  return results.some(({ failures }) => failures.length > 0) ? 1 : 0;
}

async function runAll(options: Options, subjects: readonly Subject[], streams: number): Promise<ScenarioResult[]> {
  const chosen = SCENARIOS.filter(({ name }) => options.only.length === 0 || options.only.includes(name));
  // A short path: the path of a Unix socket may have 107 bytes.
  const folder = mkdtempSync(join(tmpdir(), "hfb-"));
  chmodSync(folder, 0o755);
  const remove = (): void => {
    if (!options.keep) rmSync(folder, { recursive: true, force: true });
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => giveUp(remove));
  using progress = new Progress(chosen.length);
  const results: ScenarioResult[] = [];
  try {
    for (const scenario of chosen) {
      progress.next(scenario.name);
      const judged = options.selfTest ? untargeted(scenario) : scenario;
      results.push(
        await runScenario(judged, subjects, { ...options, folder, streams }, (doing) => progress.say(doing)),
      );
    }
  } finally {
    if (options.keep) console.error(`configurations and logs: ${folder}`);
    remove();
  }
  return results;
}

/** Told to stop: nothing that was started stays. */
function giveUp(remove: () => void): never {
  for (const pid of childrenOf(process.pid)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It ended by itself.
    }
  }
  remove();
  process.exit(130);
}

/** Where the same programs stand in both columns, targets say nothing. */
function untargeted(scenario: Scenario): Scenario {
  return { ...scenario, growth: [], measures: scenario.measures.map(({ key, label, unit }) => ({ key, label, unit })) };
}

async function factsOf(options: Options, ours: Subject, peer: Subject | undefined): Promise<RunFacts> {
  const openFiles = openFileLimit();
  return {
    date: new Date().toISOString(),
    ours: await version(ours),
    peer: peer === undefined ? "none" : await version(peer),
    node: process.version,
    kernel: release(),
    cores: availableParallelism(),
    openFiles,
    streams: Math.max(
      1,
      Math.min(MOST_STREAMS, Math.floor((openFiles - OTHER_FILES) / FILES_A_STREAM)) - OTHER_CONNECTIONS,
    ),
    diskSyncMicros: syncMicros(tmpdir()),
    rounds: options.rounds,
    quick: options.quick,
    outageSeconds: options.outageSeconds,
  };
}

async function version({ name, server }: Subject): Promise<string> {
  const { stdout, stderr } = await run(server, ["--version"]);
  return `${name} ${(stdout + stderr).trim().split("\n")[0] ?? ""}`;
}

function describe(facts: RunFacts): string {
  return [
    `ours: ${facts.ours}   beside it: ${facts.peer}`,
    `${facts.cores} cores, kernel ${facts.kernel}, clients on Node ${facts.node}, ${facts.rounds} rounds in turn, medians`,
    `streams: ${facts.streams} = min(${MOST_STREAMS}, (${facts.openFiles} open files - ${OTHER_FILES}) / ${FILES_A_STREAM}) - ${OTHER_CONNECTIONS} for other connections`,
    `the disk takes ${Math.round(facts.diskSyncMicros)} µs to keep a page (median)`,
    "rate limits for attestation and signing are off on both servers",
    ...(facts.quick ? ["--quick: the numbers mean nothing"] : []),
  ].join("\n");
}
