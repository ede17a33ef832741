/** Makes the corpus: chain by chain, each of them from the seed and its number alone. */
import { CERT_FAULTS } from "./cert-faults.ts";
import { NAME_FAULTS, NAME_TWISTS } from "./names.ts";
import { PATH_FAULTS } from "./path-faults.ts";
import { type ChainPlan, goodChain, type MadeChain, make } from "./plan.ts";
import { Choices } from "./random.ts";
import { SHAPES, TWISTS } from "./twists.ts";
import type { Variation } from "./variation.ts";

/** A chain of the corpus, and what it is by construction. */
export interface CorpusChain extends MadeChain {
  readonly id: number;
  /** Names of all that was changed. */
  readonly labels: ReadonlySet<string>;
  readonly faults: readonly Variation[];
  /** Checks that may object; decoys' among them, for a refusal tells of the path that got farthest. */
  readonly checks: ReadonlySet<string>;
}

export const FAULTS: readonly Variation[] = [...CERT_FAULTS, ...PATH_FAULTS, ...NAME_FAULTS];
export const ALL_TWISTS: readonly Variation[] = [...TWISTS, ...NAME_TWISTS];

/** Of ten chains three are good, five have one fault and two have two. Every fault and twist comes up in turn. */
export function corpusChain(seed: number, id: number): CorpusChain {
  const choices = new Choices(seed, id);
  const turn = Math.floor(id / 10);
  const place = id % 10;
  const wanted: Variation[] = [];
  if (place < 3) wanted.push(inTurn(ALL_TWISTS, turn * 3 + place));
  else wanted.push(inTurn(FAULTS, turn * 7 + place - 3));
  if (place >= 8) wanted.push(choices.pick(FAULTS));
  for (let i = choices.int(3); i > 0; i--) wanted.push(choices.pick(ALL_TWISTS));
  return vary(id, choices, wanted, place < 3 ? 0 : 1);
}

/** The first of `wanted` is applied in any case, to a chain of a shape that it fits; the others where they fit. */
function vary(id: number, choices: Choices, wanted: readonly Variation[], wantedFaults: number): CorpusChain {
  for (let attempt = 0; attempt < 50; attempt++) {
    const plan = goodChain(id, choices, 1 + choices.int(6));
    const applied = applyAll(plan, wanted);
    const faults = applied.filter(({ checks }) => checks.length > 0);
    if (!applied.includes(wanted[0]!) || faults.length < wantedFaults) continue;
    const labels = new Set(applied.map(({ name }) => name));
    return { id, ...make(plan), labels, faults, checks: new Set(faults.flatMap(({ checks }) => checks)) };
  }
  throw new Error(`no chain fits ${wanted.map(({ name }) => name).join(", ")}`);
}

function applyAll(plan: ChainPlan, wanted: readonly Variation[]): Variation[] {
  const groups = new Set<string>();
  const applied: Variation[] = [];
  const shape = plan.choices.chance(25) ? [plan.choices.pick(SHAPES)] : [];
  for (const variation of [...shape, ...wanted]) {
    if ([...groups].some((group) => clash(group, variation.group))) continue;
    if (!variation.apply(plan)) continue;
    groups.add(variation.group);
    applied.push(variation);
  }
  return applied;
}

function inTurn(list: readonly Variation[], turn: number): Variation {
  return list[turn % list.length]!;
}

/** Groups that would undo or hide one another. */
const CLASHES: readonly (readonly [string, string])[] = [
  ["basic", "pathlen"],
  // the subject is a name, too, and tells who is self-issued
  ["names", "sans"],
  ["names", "basic"],
  // an algorithm fits one kind of key
  ["key", "signature"],
];

function clash(a: string, b: string): boolean {
  return a === b || a === "ring" || b === "ring" || CLASHES.some((pair) => pair.includes(a) && pair.includes(b));
}
