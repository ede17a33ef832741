/**
 * Holds docs/configuration.md to the tables that the loader reads by: every key is there, and no other.
 * UPDATE_DOCS=1 writes the tables anew, for the formatter to align.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { TABLES } from "./reference.ts";
import { loadAgentConfig, loadServerConfig } from "./sources.ts";

const DOCUMENT = join(import.meta.dirname, "../../docs/configuration.md");
const TABLE = /<!-- table: (.+) -->\n\n([\s\S]*?)\n\n<!-- end -->/g;

function document(): string {
  return readFileSync(DOCUMENT, "utf8");
}

/** The formatter pads the cells of tables; only what stands in them counts. */
function unpadded(markdown: string | undefined): string | undefined {
  return markdown?.replace(/^\|.*\|$/gm, (row) => row.replace(/ +(?=\|)/g, " ").replace(/-{3,}/g, "---"));
}

if (process.env.UPDATE_DOCS === "1") {
  writeFileSync(
    DOCUMENT,
    document().replace(TABLE, (_, name: string) => `<!-- table: ${name} -->\n\n${TABLES[name]}\n\n<!-- end -->`),
  );
}

const found = new Map([...document().matchAll(TABLE)].map((match) => [match[1] as string, match[2] as string]));

test("the document has every table", () => {
  expect([...found.keys()].toSorted()).toEqual(Object.keys(TABLES).toSorted());
});

test.each(Object.keys(TABLES))("the table %s is up to date (UPDATE_DOCS=1 makes it so)", (name) => {
  expect(unpadded(found.get(name))).toBe(unpadded(TABLES[name]));
});

test("its examples load without a warning", () => {
  const examples = [...document().matchAll(/```hcl\n([\s\S]*?)```/g)].map((match) => match[1] as string);
  expect(examples).toHaveLength(2);
  const [agent, server] = examples as [string, string];
  expect(loadAgentConfig({ text: agent, fileName: "agent.conf" }).warnings).toEqual([]);
  expect(loadServerConfig({ text: server, fileName: "server.conf" }).warnings).toEqual([]);
});
