/** Writes the tables of docs/configuration.md from the tables that the loader reads by. */
import { AGENT_NODE_ATTESTORS } from "../../src/cli/agent/node-attestors.ts";
import { SERVER_NODE_ATTESTORS } from "../../src/cli/server/node-attestors.ts";
import { AGENT } from "../../src/config/agent-keys.ts";
import { agentPlugins } from "../../src/config/agent-plugins.ts";
import type { Section } from "../../src/config/keys.ts";
import { section } from "../../src/config/keys.ts";
import {
  AGENT_NOT_IMPLEMENTED,
  type NotImplemented,
  PLUGIN_NOT_IMPLEMENTED,
  SERVER_NOT_IMPLEMENTED,
  SHARED_NOT_IMPLEMENTED,
} from "../../src/config/not-implemented.ts";
import { PLUGIN_KEYS, type PluginTypes } from "../../src/config/plugins.ts";
import { SERVER } from "../../src/config/server-keys.ts";
import { serverPlugins } from "../../src/config/server-plugins.ts";
import { HEALTH_CHECKS, TELEMETRY } from "../../src/config/shared-keys.ts";

const AGENT_PLUGINS = agentPlugins(AGENT_NODE_ATTESTORS);
const SERVER_PLUGINS = serverPlugins(SERVER_NODE_ATTESTORS);

/** Every table of the document, by the name in its marks. */
export const TABLES: Readonly<Record<string, string>> = {
  agent: keyTable(AGENT),
  server: keyTable(SERVER),
  health_checks: keyTable(HEALTH_CHECKS),
  telemetry: keyTable(TELEMETRY),
  "plugin keys": keyTable(section(PLUGIN_KEYS, "")),
  "agent plugins": pluginTables(AGENT_PLUGINS),
  "server plugins": pluginTables(SERVER_PLUGINS),
  "agent not implemented": notImplementedTable(AGENT_NOT_IMPLEMENTED),
  "server not implemented": notImplementedTable(SERVER_NOT_IMPLEMENTED),
  "shared not implemented": notImplementedTable(SHARED_NOT_IMPLEMENTED),
  "plugin keys not implemented": notImplementedTable(PLUGIN_NOT_IMPLEMENTED),
  "agent plugins not implemented": missingPlugins(AGENT_PLUGINS),
  "server plugins not implemented": missingPlugins(SERVER_PLUGINS),
};

function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function keyTable(of: Section<unknown>): string {
  return markdown(["Key", "Type", "Default", "Meaning"], keyRows(of, ""));
}

function keyRows(of: Section<unknown>, prefix: string): readonly (readonly string[])[] {
  return Object.entries(of.keys).flatMap(([name, item]) => {
    const key = `${prefix}${name}`;
    const meaning =
      item.warning === undefined ? item.meaning : `${item.meaning} _Setting it gives a warning: ${item.warning}._`;
    if (item.kind === "key") return [[`\`${key}\``, item.type, item.fallback, meaning]];
    return [[`\`${key}\``, "block", item.optional ? "none" : "empty", meaning], ...keyRows(item, `${key}.`)];
  });
}

function pluginTables(types: PluginTypes): string {
  return Object.entries(types)
    .flatMap(([type, { plugins }]) =>
      plugins.map(({ name, meaning, data }) => {
        const keys = Object.keys(data.keys).length === 0 ? "No `plugin_data` keys." : keyTable(data);
        return `#### \`${type} "${name}"\`\n\n${meaning}\n\n${keys}`;
      }),
    )
    .join("\n\n");
}

function notImplementedTable(rows: readonly NotImplemented[]): string {
  return markdown(
    ["Key", "Outcome", "Accepted in silence", "Why"],
    rows.map(({ key, outcome, harmless = [], why }) => [
      `\`${key}\``,
      outcome === "error" ? "**error**" : "warning",
      harmless.map((value) => `\`${value}\``).join(", ") || "-",
      why,
    ]),
  );
}

function missingPlugins(types: PluginTypes): string {
  return markdown(
    ["Type", "Needed", "Not implemented"],
    Object.entries(types).map(([type, { least, most, notImplemented }]) => [
      `\`${type}\``,
      least === most ? String(least) : most === Number.POSITIVE_INFINITY ? `${least} or more` : `${least} to ${most}`,
      notImplemented.map((name) => `\`${name}\``).join(", ") || "-",
    ]),
  );
}
