/**
 * Thousands of generated chains, judged by us, by OpenSSL and by Go. Every verdict of ours is the one that the chain
 * was made for, and every other verdict of theirs has a reason that is known and documented. `CORPUS_CHAINS` and
 * `CORPUS_SEED` ask for more chains and for others; then the counts are printed.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ALL_TWISTS, type CorpusChain, corpusChain, FAULTS } from "./corpus/generate.ts";
import { checkOf, type OwnVerdict, ownVerdict } from "./corpus/judge.ts";
import { goVerdicts, opensslVerdicts, type Verdicts, versionOf, writeCorpus } from "./corpus/oracles.ts";
import { LAXER, laxerReasons, type Oracle, STRICTER, stricterReasons } from "./corpus/reasons.ts";
import { SHAPES } from "./corpus/twists.ts";

/** Enough for every fault, twist and reason to come up. */
const USUAL = 500;
const count = Number(process.env.CORPUS_CHAINS ?? USUAL);
const seed = Number(process.env.CORPUS_SEED ?? 20_261_127);
/** Older ones have other defaults, of policies for one. */
const OLDEST_GO = 24;
const PATIENCE = 20_000 + count * 120;

const folder = mkdtempSync(join(tmpdir(), "holdfast-corpus-"));
afterAll(() => rmSync(folder, { recursive: true }));

const corpus: readonly CorpusChain[] = Array.from({ length: count }, (_, id) => corpusChain(seed, id));
const own: readonly OwnVerdict[] = corpus.map(ownVerdict);

describe("ours", () => {
  test("the good are trusted", () => {
    const wrong = corpus.filter((chain, i) => chain.faults.length === 0 && own[i]!.svid !== "ok");
    expect(wrong.map(told)).toEqual([]);
  });

  test("the faulty are refused, those that are no X509-SVID for that alone", () => {
    const wrong = corpus.filter(
      ({ faults }, i) =>
        (faults.length > 0 && own[i]!.svid === "ok") ||
        (faults.every(({ isLeafRule }) => isLeafRule) && own[i]!.path !== "ok"),
    );
    expect(wrong.map(told)).toEqual([]);
  });

  test("a refusal names the fault", () => {
    const wrong = corpus.filter((chain, i) => {
      const check = checkOf(own[i]!.svid);
      if (own[i]!.svid === "ok" || chain.checks.has(check)) return false;
      // where there are several paths, another may have got as far
      return ![...chain.labels].some((label) => label.startsWith("decoy: ") || label.startsWith("self-issued"));
    });
    expect(wrong.map(told)).toEqual([]);
  });

  test("everything comes up", () => {
    const seen = new Set(corpus.flatMap(({ labels }) => [...labels]));
    const missing = [...FAULTS, ...ALL_TWISTS, ...SHAPES].filter(({ name }) => !seen.has(name));
    expect(missing.map(({ name }) => name)).toEqual([]);
  });

  test("a chain follows from seed and number", () => {
    expect([...corpusChain(seed, 17).labels]).toEqual([...corpus[17]!.labels]);
  });
});

/** Chains where an oracle and we differ, by reason; those without a reason. */
function compare(oracle: Oracle, verdicts: Verdicts): { byReason: Map<string, number>; unexplained: string[] } {
  const byReason = new Map<string, number>();
  const tally = (name: string): void => void byReason.set(name, (byReason.get(name) ?? 0) + 1);
  const unexplained: string[] = [];
  for (const [i, chain] of corpus.entries()) {
    const [ours, theirs] = [own[i]!, verdicts.get(chain.id) ?? "no verdict"];
    const [isOurs, isTheirs] = [ours.path === "ok", theirs === "ok"];
    tally(`${isOurs ? "we accept" : "we refuse"}, they ${isTheirs ? "accept" : "refuse"}`);
    if (isOurs && isTheirs && ours.svid !== "ok") tally(LEAF_RULES);
    if (isOurs === isTheirs) continue;
    const reasons = isOurs ? stricterReasons(oracle, chain, theirs) : laxerReasons(oracle, chain);
    for (const name of new Set(reasons.map(({ name }) => name))) tally(name);
    if (reasons.length === 0) unexplained.push(`${told(chain)}: ${oracle} says ${theirs}`);
  }
  return { byReason, unexplained };
}

const LEAF_RULES = "the leaf is no X509-SVID";

function told({ id, labels }: CorpusChain): string {
  return `${id} (${[...labels].join(", ")}): ${JSON.stringify(own[id])}`;
}

/** The differences have reasons, and each reason is one that happens. */
function expectExplained(oracle: Oracle, verdicts: Verdicts): void {
  expect(verdicts.size).toBe(corpus.length);
  const { byReason, unexplained } = compare(oracle, verdicts);
  if (process.env.CORPUS_CHAINS !== undefined) {
    const rows = [...byReason].sort(([, a], [, b]) => b - a).map(([name, n]) => `| ${name} | ${n} |`);
    console.log([`${oracle}: ${corpus.length} chains, seed ${seed}`, ...rows].join("\n"));
  }
  expect(unexplained).toEqual([]);
  const reasons = [...LAXER, ...STRICTER].filter(({ oracles }) => oracles.includes(oracle)).map(({ name }) => name);
  expect([...reasons, LEAF_RULES].filter((name) => !byReason.has(name))).toEqual([]);
}

describe("others", () => {
  beforeAll(() => writeCorpus(folder, corpus));

  test("OpenSSL", { timeout: PATIENCE }, async ({ skip }) => {
    if (versionOf("openssl") === undefined) return skip("openssl is not on PATH");
    const ids = corpus.map(({ id }) => id);
    const [usual, strict] = await Promise.all([
      opensslVerdicts(folder, ids),
      opensslVerdicts(folder, ids, "-x509_strict"),
    ]);
    expectExplained("openssl", usual);
    expectExplained("strict", strict);
  });

  test("Go", { timeout: PATIENCE }, async ({ skip }) => {
    const version = versionOf("go");
    if (version === undefined) return skip("go is not on PATH");
    if (Number(/go1\.(\d+)/.exec(version)?.[1]) < OLDEST_GO) return skip(`go is older than 1.${OLDEST_GO}`);
    expectExplained("go", await goVerdicts(folder));
  });
});

test("the page tells of every reason", () => {
  const page = readFileSync(join(import.meta.dirname, "../../docs/decisions/x509-validation.md"), "utf8");
  const names = [...LAXER, ...STRICTER].map(({ name }) => name);
  expect([...names, LEAF_RULES].filter((name) => !page.includes(`**${name}.**`))).toEqual([]);
});
