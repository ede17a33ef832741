/** The fuzzer, briefly: every target runs, and a reader that is wrong is heard. `npm run fuzz` runs for long. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { fuzz } from "../../scripts/fuzz/engine.ts";
import { parseOptions } from "../../scripts/fuzz/options.ts";
import { supervise } from "../../scripts/fuzz/supervise.ts";
import type { Verdict } from "../../scripts/fuzz/target.ts";
import { TARGETS as BROKEN } from "./broken/targets.ts";
import { GENUINE } from "./seeds/genuine.ts";
import { TARGETS } from "./targets/all.ts";

const ROOT = resolve(import.meta.dirname, "../..");
/** Where signatures are made and checked, an execution takes a hundred times as long. */
const SIGNED = ["verify-ak", "verify-quote", "jwt-validate", "verify-chain", "server-api"];
const MANY = 700;
const FEW = 100;
const folder = mkdtempSync(join(tmpdir(), "hf-fuzz-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function command(...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  const program = [join(ROOT, "scripts/fuzz/main.ts"), ...args];
  return spawnSync(process.execPath, ["--disable-warning=ExperimentalWarning", ...program], { encoding: "utf8" });
}

describe("every target", () => {
  test.each(TARGETS)("$name: its seeds are good, and nothing is found at once", async (target) => {
    const seeds = target.seeds();
    const verdicts = new Set<Verdict>();
    for (const seed of seeds) verdicts.add(await target.run(seed));
    expect(verdicts).toEqual(new Set(["accepted"]));
    const runs = SIGNED.includes(target.name) ? FEW : MANY;
    const result = await fuzz(target, { seed: 1, runs, seconds: 60 });
    expect(result.findings.map(({ what }) => what)).toEqual([]);
    expect(result.executions).toBe(runs);
    // Some are taken and some are not: else the inputs are all alike.
    expect(result.accepted).toBeGreaterThan(0);
    expect(result.accepted).toBeLessThan(runs);
  });

  test.skipIf(GENUINE.length === 0)("genuine quotes are among the seeds, where they lie beside the checkout", () => {
    const quoted = GENUINE.flatMap(({ quotes }) => quotes.map((quote) => Buffer.from(quote.quoted).toString("hex")));
    const seeds = TARGETS.find(({ name }) => name === "attest")
      ?.seeds()
      .map((seed) => Buffer.from(seed).toString("hex"));
    expect(seeds).toEqual(expect.arrayContaining(quoted));
  });

  test("processor time ends a run", async () => {
    const { executions } = await fuzz(TARGETS[0]!, { seed: 1, runs: 1e9, seconds: 60, cpuSeconds: 0.02 });
    expect(executions).toBeGreaterThan(0);
  });

  test("the same seed makes the same inputs", async () => {
    const target = TARGETS[0]!;
    const runs = [5, 5, 6].map((seed) => fuzz(target, { seed, runs: 500, seconds: 60 }));
    const [one, two, other] = (await Promise.all(runs)).map(({ accepted }) => accepted);
    expect(two).toBe(one);
    expect(other).not.toBe(one);
  });
});

describe("a reader that is wrong is heard", () => {
  test.each([
    ["reads-too-far", /^RangeError/],
    ["behind-four-doors", /^TypeError: nobody comes here/],
    ["ignores-the-end", /^Violation: it is read to its last byte/],
    ["pollutes", /it changed a prototype/],
    ["slow", /it takes more than 100 ms/],
    ["hangs", /did not return within 300 ms/],
    ["greedy", /more than \d+ MB of memory/],
  ])("%s", async (name, what) => {
    const result = await broken(name, ["/test/fuzz/broken/readers.ts"]);
    expect(result.findings).toHaveLength(1);
    const [finding] = result.findings;
    expect(finding?.what).toMatch(what);
    expect(finding?.input.length).toBeGreaterThan(0);
    if (!/pollutes|slow|hangs|greedy/.test(name)) {
      expect(() => BROKEN.find((target) => target.name === name)?.run(finding!.input)).toThrow();
    }
  });

  test("coverage is what opens four doors", async () => {
    expect((await broken("behind-four-doors", [])).findings).toEqual([]);
  });

  function broken(target: string, instrumented: readonly string[]): ReturnType<typeof supervise> {
    const module = new URL("./broken/targets.ts", import.meta.url).href;
    const hangMs = target === "hangs" ? 300 : 10_000;
    return supervise({ module, target, seed: 1, runs: 60_000, seconds: 30, instrumented, hangMs, heapMb: 64 });
  }
});

describe("npm run fuzz", () => {
  test("runs with coverage, keeps what is new and says how much", () => {
    const [corpus, json] = [join(folder, "corpus"), join(folder, "counts.json")];
    const run = command("--target", "signature", "--runs", "3000", "--seed", "1", "--corpus", corpus, "--json", json);
    expect(run.stderr).toBe("");
    expect(run.status).toBe(0);
    const [counts] = (JSON.parse(readFileSync(json, "utf8")) as { targets: Record<string, number>[] }).targets;
    expect(counts).toMatchObject({ target: "signature", executions: 3_000, found: [] });
    expect(counts?.reached).toBeGreaterThan(10);
    expect(readdirSync(join(corpus, "signature")).length).toBeGreaterThan(2);
  });

  test("replays an input", () => {
    const file = join(folder, "input");
    writeFileSync(file, "nonsense");
    expect(command("--target", "pem", "--replay", file)).toMatchObject({ status: 0, stdout: "no finding\n" });
  });

  test("helps, and refuses what it does not know", () => {
    const help = command("--help");
    expect(help.status).toBe(0);
    for (const { name } of TARGETS) expect(help.stdout).toContain(`  ${name} `);
    const unknown = command("--tiem", "60");
    expect(unknown.status).toBe(2);
    expect(unknown.stderr).toMatch(/^fuzz: .*--tiem.*see --help\n$/s);
    for (const args of [
      ["--target", "nothing"],
      ["--runs", "many"],
      ["--time", "0"],
      ["--cpu", "0"],
      ["--replay", "x"],
      ["60"],
    ])
      expect(() => parseOptions(args, TARGETS), args.join(" ")).toThrow();
  });
});
