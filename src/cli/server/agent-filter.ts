/** The filter flags of `agent list`, `agent count`. */
import type { ListAgentsRequest_Filter } from "../../gen/spire/api/server/agent/v1/agent.ts";
import { type OptionSpec, type OptionValues, text, texts, UsageError } from "../command.ts";
import { selectorFromText } from "../wire.ts";
import { setMatch } from "./entry-filter.ts";

/** Filter flags; all given ones must hold. */
export const AGENT_FILTER_OPTIONS: readonly OptionSpec[] = [
  { name: "attestationType", value: "type", description: "Agents that attested in this way, such as join_token." },
  {
    name: "selector",
    value: "type:value",
    repeat: true,
    description: "Agents with these selectors; see -matchSelectorsOn.",
  },
  {
    name: "matchSelectorsOn",
    value: "exact|any|superset|subset",
    description: "How the agent's selectors compare with those given.",
    default: "superset",
  },
  { name: "banned", value: "true|false", description: "Only banned agents, or only others." },
  { name: "canReattest", value: "true|false", description: "Only agents that can attest again, or only others." },
  {
    name: "expiresBefore",
    value: "time",
    description: 'Agents whose SVID expires before this time, such as "2026-01-02 15:04:05 -0700 -07".',
  },
];

const TIME = /^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2} [+-]\d{4} \S+$/;

/** The filter that the flags describe. */
export function agentFilter(options: OptionValues): ListAgentsRequest_Filter {
  const selectors = texts(options, "selector");
  const expiresBefore = text(options, "expiresBefore");
  if (expiresBefore !== "" && !TIME.test(expiresBefore)) {
    throw new UsageError('-expiresBefore must look like "2026-01-02 15:04:05 -0700 -07"');
  }
  return {
    byAttestationType: text(options, "attestationType"),
    bySelectorMatch:
      selectors.length === 0
        ? undefined
        : {
            selectors: selectors.map((selector) => selectorFromText("selector", selector)),
            match: setMatch(options, "matchSelectorsOn"),
          },
    byBanned: truth(options, "banned"),
    byCanReattest: truth(options, "canReattest"),
    byExpiresBefore: expiresBefore,
  };
}

function truth(options: OptionValues, name: string): boolean | undefined {
  const value = text(options, name);
  if (value === "") return undefined;
  if (value === "true" || value === "false") return value === "true";
  throw new UsageError(`-${name} is true or false, not "${value}"`);
}
