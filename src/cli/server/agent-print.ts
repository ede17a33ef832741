/** Prints attested agents as SPIRE does. */
import type { Agent } from "../../gen/spire/api/types/agent.ts";
import { visible } from "../../lib/visible.ts";
import { idText, timeText } from "../wire.ts";

const LABEL_COLUMN = 18;

/** One agent, a line per property, an empty line after it. `selectors` are shown by `agent show` only. */
export function agentText(agent: Agent, show: { readonly selectors: boolean }): string {
  const lines: (readonly [string, string])[] = [
    ["SPIFFE ID", idText(agent.id)],
    ["Attestation type", agent.attestationType],
    ["Expiration time", timeText(agent.x509svidExpiresAt)],
    agent.banned ? ["Banned", "true"] : ["Serial number", agent.x509svidSerialNumber],
    ["Can re-attest", String(agent.canReattest)],
  ];
  if (agent.agentVersion !== "") lines.push(["Agent version", agent.agentVersion]);
  const selectors = agent.selectors.map(({ type, value }) => ["Selectors", `${type}:${value}`] as const);
  return `${text(lines)}\n${show.selectors ? text(selectors) : ""}`;
}

/** What the attestation told beside the selectors, a line each; nothing for none. */
export function factsText(facts: Readonly<Record<string, string>>): string {
  return text(
    Object.entries(facts)
      .sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }))
      .map(([name, value]) => ["Fact", `${name}: ${value}`] as const),
  );
}

function text(rows: readonly (readonly [string, string])[]): string {
  return rows.map(([label, value]) => `${label.padEnd(LABEL_COLUMN)}: ${visible(value)}\n`).join("");
}
