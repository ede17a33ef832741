/** PCR policies: named sets of allowed values, of which a node must meet one. */
import type { PcrBank } from "../structures/algorithms.ts";
import { PCR_BANKS } from "../structures/algorithms.ts";
import type { PcrSelection } from "../structures/pcr-selection.ts";
import { refuse } from "./checks.ts";
import type { PcrBanks } from "./quote.ts";

/** One profile: every PCR that it names must have one of its values. */
export interface PcrProfile {
  readonly name: string;
  readonly pcrs: readonly AllowedPcr[];
}

/** The values that one PCR may have, in lower-case hex. */
export interface AllowedPcr {
  readonly bank: PcrBank;
  readonly index: number;
  readonly values: readonly string[];
}

/** What must be quoted so that all profiles can be judged, and these PCRs of this bank besides. */
export function selectionFor(
  profiles: readonly PcrProfile[],
  extra: { readonly bank: PcrBank; readonly indices: readonly number[] },
): readonly PcrSelection[] {
  const wanted = new Map<PcrBank, Set<number>>();
  const want = (bank: PcrBank, index: number): void => {
    wanted.set(bank, (wanted.get(bank) ?? new Set()).add(index));
  };
  for (const index of extra.indices) want(extra.bank, index);
  for (const { bank, index } of profiles.flatMap(({ pcrs }) => pcrs)) want(bank, index);
  return PCR_BANKS.flatMap((bank) => {
    const indices = wanted.get(bank);
    return indices === undefined ? [] : [{ bank, indices: [...indices].sort((a, b) => a - b) }];
  });
}

/**
 * The names of the profiles that the values meet: all of them, for entries may want any. Throws a refusal, which tells
 * for each profile where the values differ, when there are profiles and none is met.
 */
export function meetPolicy(profiles: readonly PcrProfile[], pcrs: PcrBanks): readonly string[] {
  const judged = profiles.map((profile) => ({ name: profile.name, differs: differences(profile, pcrs) }));
  const met = judged.filter(({ differs }) => differs.length === 0).map(({ name }) => name);
  if (profiles.length > 0 && met.length === 0) {
    const detail = judged.map(({ name, differs }) => `${name} differs in ${differs.join(" and ")}`).join("; ");
    throw refuse("pcr-policy", `no profile is met: ${detail}`);
  }
  return met;
}

function differences(profile: PcrProfile, pcrs: PcrBanks): readonly string[] {
  return profile.pcrs.flatMap(({ bank, index, values }) => {
    const value = pcrs.get(bank)?.get(index);
    const hex = value === undefined ? "nothing" : Buffer.from(value).toString("hex");
    return values.includes(hex) ? [] : [`${bank}:${index} (is ${hex})`];
  });
}
