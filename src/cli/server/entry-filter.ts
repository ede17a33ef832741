/** The filter flags of `entry show` and `entry count`. */
import type { CountEntriesRequest_Filter } from "../../gen/spire/api/server/entry/v1/entry.ts";
import { flag, type OptionSpec, type OptionValues, text, texts, UsageError } from "../command.ts";
import { idFromText, selectorFromText, trustDomainFromText } from "../wire.ts";

const MATCHES = { exact: 0, subset: 1, superset: 2, any: 3 } as const;

/** Filter flags; all given ones must hold. */
export const ENTRY_FILTER_OPTIONS: readonly OptionSpec[] = [
  { name: "spiffeID", value: "id", description: "Entries for this SPIFFE ID." },
  { name: "parentID", value: "id", description: "Entries under this parent." },
  {
    name: "selector",
    value: "type:value",
    repeat: true,
    description: "Entries with these selectors; see -matchSelectorsOn.",
  },
  {
    name: "federatesWith",
    value: "trust domain",
    repeat: true,
    description: "Entries that federate with these; see -matchFederatesWithOn.",
  },
  { name: "downstream", description: "Downstream entries only." },
  { name: "hint", value: "text", description: "Entries with this hint." },
  {
    name: "matchSelectorsOn",
    value: "exact|any|superset|subset",
    description: "How the entry's selectors compare with those given.",
    default: "superset",
  },
  {
    name: "matchFederatesWithOn",
    value: "exact|any|superset|subset",
    description: "How the entry's trust domains compare with those given.",
    default: "superset",
  },
];

/** The filter that the flags describe. */
export function entryFilter(options: OptionValues): CountEntriesRequest_Filter {
  const selectors = texts(options, "selector");
  const federatesWith = texts(options, "federatesWith");
  const spiffeId = text(options, "spiffeID");
  const parentId = text(options, "parentID");
  return {
    bySpiffeId: spiffeId === "" ? undefined : idFromText("spiffeID", spiffeId),
    byParentId: parentId === "" ? undefined : idFromText("parentID", parentId),
    bySelectors:
      selectors.length === 0
        ? undefined
        : {
            selectors: selectors.map((selector) => selectorFromText("selector", selector)),
            match: setMatch(options, "matchSelectorsOn"),
          },
    byFederatesWith:
      federatesWith.length === 0
        ? undefined
        : {
            trustDomains: federatesWith.map((name) => trustDomainFromText("federatesWith", name)),
            match: setMatch(options, "matchFederatesWithOn"),
          },
    byHint: text(options, "hint") || undefined,
    byDownstream: flag(options, "downstream") || undefined,
  };
}

/** `exact`, `any`, `superset` (default) or `subset` as the messages number them. */
export function setMatch(options: OptionValues, name: string): 0 | 1 | 2 | 3 {
  const value = text(options, name, "superset");
  if (value in MATCHES) return MATCHES[value as keyof typeof MATCHES];
  throw new UsageError(`-${name} is exact, any, superset or subset, not "${value}"`);
}
