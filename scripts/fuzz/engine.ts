/** The loop: take a kept input, change it, run it, keep it if it reached something new, stop if it broke a promise. */
import type { Coverage } from "./coverage.ts";
import { Random } from "./random.ts";
import type { Finding, FuzzTarget, RunResult, Verdict } from "./target.ts";

/** How long, and from where. */
export interface RunOptions {
  readonly seed: number;
  readonly runs: number;
  readonly seconds: number;
  /** Of processor time. Default: no limit. */
  readonly cpuSeconds?: number;
  /** Go on after a finding, and collect one of each kind. */
  readonly keepGoing?: boolean;
  /** Inputs besides the target's own. */
  readonly extraSeeds?: readonly Uint8Array[];
  /** Without it, seeds are all that is ever changed. */
  readonly coverage?: Coverage;
  /** Constants of the code under test. */
  readonly words?: readonly Uint8Array[];
  /** Hears of each input before it is run, so that one which never returns is known. */
  readonly before?: (input: Uint8Array) => void;
  /** Hears of an input that is kept. */
  readonly kept?: (input: Uint8Array) => void;
  /** Hears now and then how far it is. */
  readonly progress?: (executions: number) => void;
}

/** An input may take so long, at the best of some tries: the machine may be busy. */
export const MAX_INPUT_MS = 100;
const TRIES = 5;
/** How often the time is looked at, in executions, and how often it is told how many they are. */
const LOOK_EVERY = 64;
const TELL_EVERY = 8192;
/** Most kinds of findings of one run. */
const MAX_FINDINGS = 50;
/** What a polluted prototype shows in. */
const EMPTY: Readonly<Record<string, never>> = {};
/** Most inputs that are kept. */
const MAX_CORPUS = 20_000;

/** Runs a target until a limit is reached or something is found. Deterministic but for time limits. */
export function fuzz(target: FuzzTarget, options: RunOptions): Promise<RunResult> {
  return new Run(target, options).all();
}

/** Runs one input; what it was found guilty of, if anything. */
export async function tryInput(target: FuzzTarget, input: Uint8Array): Promise<string | undefined> {
  const run = new Run(target, { seed: 1, runs: 1, seconds: Number.POSITIVE_INFINITY });
  await run.execute(input);
  return run.findings[0]?.what;
}

class Run {
  readonly #target: FuzzTarget;
  readonly #options: RunOptions;
  readonly #random: Random;
  readonly #seeds: readonly Uint8Array[];
  readonly #corpus: Uint8Array[] = [];
  #executions = 0;
  #accepted = 0;
  #slowestMs = 0;
  readonly findings: Finding[] = [];

  constructor(target: FuzzTarget, options: RunOptions) {
    this.#target = target;
    this.#options = options;
    this.#random = new Random(options.seed);
    this.#seeds = target.seeds();
  }

  async all(): Promise<RunResult> {
    const started = performance.now();
    const cpu = process.threadCpuUsage();
    const { runs, seconds, cpuSeconds = Number.POSITIVE_INFINITY, progress } = this.#options;
    const used = (): number => {
      const { user, system } = process.threadCpuUsage(cpu);
      return (user + system) / 1e6;
    };
    const isOut = (): boolean => performance.now() - started > seconds * 1000 || used() > cpuSeconds;
    await this.#start();
    while (!this.#isOver() && this.#executions < runs) {
      if (this.#executions % LOOK_EVERY === 0 && isOut()) break;
      if (this.#executions % TELL_EVERY === 0) progress?.(this.#executions);
      const waiting = this.execute(this.#next());
      if (waiting !== undefined) await waiting;
    }
    return {
      executions: this.#executions,
      accepted: this.#accepted,
      corpus: this.#corpus.length,
      reached: this.#options.coverage?.reached ?? 0,
      places: this.#options.coverage?.places ?? 0,
      seconds: (performance.now() - started) / 1000,
      cpuSeconds: used(),
      slowestMs: this.#slowestMs,
      findings: this.findings,
    };
  }

  /** Seeds are kept whatever they reach: without coverage they are all there is. */
  async #start(): Promise<void> {
    for (const input of [...this.#seeds, ...(this.#options.extraSeeds ?? [])]) {
      if (this.#isOver() || input.length > this.#target.maxBytes) continue;
      this.#corpus.push(input);
      await this.execute(input);
    }
  }

  #next(): Uint8Array {
    const { words = [] } = this.#options;
    const random = this.#random;
    for (;;) {
      const input = this.#target.mutate(this.#parent(), random.pick(this.#corpus), random, words);
      if (input.length <= this.#target.maxBytes) return input;
    }
  }

  #isOver(): boolean {
    return this.findings.length > 0 && this.#options.keepGoing !== true;
  }

  /** Half of the time one of the latest: what they reached was hard to reach. */
  #parent(): Uint8Array {
    const corpus = this.#corpus;
    if (this.#target.favoursSeeds === true && !this.#random.oneIn(3)) return this.#random.pick(this.#seeds);
    if (this.#random.oneIn(2)) return this.#random.pick(corpus);
    const latest = Math.min(corpus.length, 32);
    return corpus[corpus.length - 1 - this.#random.below(latest)] ?? new Uint8Array();
  }

  /** Runs one input and judges it; later, when the target takes its time. */
  execute(input: Uint8Array): Promise<void> | undefined {
    const { coverage, before } = this.#options;
    before?.(input);
    coverage?.reset();
    this.#executions++;
    const started = performance.now();
    try {
      const verdict = this.#target.run(input);
      if (typeof verdict !== "string") return this.#later(verdict, input, started);
      if (verdict === "accepted") this.#accepted++;
    } catch (error) {
      this.#found(input, describe(error));
      return;
    }
    const took = performance.now() - started;
    if (took > MAX_INPUT_MS) return this.#slow(input, took);
    this.#judge(input, took);
    return;
  }

  async #later(verdict: Promise<Verdict>, input: Uint8Array, started: number): Promise<void> {
    try {
      if ((await verdict) === "accepted") this.#accepted++;
    } catch (error) {
      this.#found(input, describe(error));
      return;
    }
    const took = performance.now() - started;
    if (took > MAX_INPUT_MS) await this.#slow(input, took);
    else this.#judge(input, took);
  }

  async #slow(input: Uint8Array, first: number): Promise<void> {
    const took = await this.#bestOf(input, first);
    if (took > MAX_INPUT_MS) this.#found(input, `it takes more than ${MAX_INPUT_MS} ms`);
    this.#judge(input, took);
  }

  #judge(input: Uint8Array, took: number): void {
    this.#slowestMs = Math.max(this.#slowestMs, took);
    if (isPolluted()) this.#found(input, "it changed a prototype");
    if (this.#options.coverage?.isNew() === true && this.#corpus.length < MAX_CORPUS) {
      this.#corpus.push(input);
      this.#options.kept?.(input);
    }
  }

  /** The least time of some tries. */
  async #bestOf(input: Uint8Array, first: number): Promise<number> {
    let best = first;
    for (let i = 0; i < TRIES; i++) {
      this.#options.coverage?.reset();
      const started = performance.now();
      await this.#target.run(input);
      best = Math.min(best, performance.now() - started);
    }
    return best;
  }

  #found(input: Uint8Array, what: string): void {
    if (this.findings.length < MAX_FINDINGS && !this.findings.some((one) => one.what === what))
      this.findings.push({ target: this.#target.name, what, input });
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return `threw ${String(error)}`;
  const code = (error as { code?: unknown }).code;
  return `${error.name}${typeof code === "string" ? ` (${code})` : ""}: ${error.message}`;
}

/** Whether every object now has a member that it did not have. */
function isPolluted(): boolean {
  for (const _name in EMPTY) return true;
  return false;
}
