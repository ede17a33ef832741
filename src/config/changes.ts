/** Which keys differ between two configuration files: their names, never their values, some of which are secrets. */
import { expandEnv } from "./expand-env.ts";
import type { Source } from "./file.ts";
import type { Node } from "./hcl/node.ts";
import { readTree } from "./hcl/read.ts";

/** Their dotted names, sorted. Both must be files that load. `ignored` are keys of `main` that the command line decides. */
export function changedKeys(before: Source, after: Source, main: string, ignored: ReadonlySet<string>): string[] {
  const [old, fresh] = [settings(before), settings(after)];
  return [...new Set([...old.keys(), ...fresh.keys()])]
    .filter((key) => old.get(key) !== fresh.get(key))
    .filter((key) => !(key.startsWith(`${main}.`) && ignored.has(key.slice(main.length + 1))))
    .sort();
}

/** Every value as text, by its dotted name; keys have no case, as in SPIRE. */
function settings(source: Source): ReadonlyMap<string, string> {
  const { text, expandEnv: env } = source;
  const found = new Map<string, string>();
  const visit = (name: string, node: Node): void => {
    if (node.kind === "object") {
      for (const { key, value } of node.entries) visit(name === "" ? key : `${name}.${key}`, value);
    } else if (node.kind === "list" && node.items.some(({ kind }) => kind === "object")) {
      for (const item of node.items) visit(name, item);
    } else {
      const key = name.startsWith("plugins.") ? name : name.toLowerCase();
      // A key that is given twice is two values of one.
      found.set(key, `${found.get(key) ?? ""}${textOf(node)}\n`);
    }
  };
  visit("", readTree(env === undefined ? text : expandEnv(text, env).text));
  return found;
}

function textOf(node: Exclude<Node, { kind: "object" }>): string {
  if (node.kind === "null") return "";
  if (node.kind !== "list") return JSON.stringify(node.value);
  return JSON.stringify(node.items.map((item) => (item.kind === "object" ? "" : textOf(item))));
}
