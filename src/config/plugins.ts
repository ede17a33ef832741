/** Reads the `plugins` section: which plugins are enabled, and the data of each. */
import type { Entry, ObjectNode, Position } from "./hcl/node.ts";
import { defaulted, type Read, type Section, section, type Table } from "./keys.ts";
import { PLUGIN_NOT_IMPLEMENTED } from "./not-implemented.ts";
import type { Problems } from "./problems.ts";
import type { SectionReader } from "./section.ts";
import { nearest } from "./suggest.ts";
import { flag } from "./values.ts";

/** One plugin that this version has. */
export interface Plugin<Config> {
  readonly name: string;
  /** The keys of `plugin_data`. */
  readonly data: Section<unknown>;
  readonly meaning: string;
  /** Makes the typed configuration of valid data; reports what is wrong beyond single keys. */
  build(data: unknown, report: (key: string, problem: string) => void): Config | undefined;
}

/** One type of plugins. */
export interface PluginType<Config> {
  readonly plugins: readonly Plugin<Config>[];
  /** SPIRE's plugins of this type that this version lacks. */
  readonly notImplemented: readonly string[];
  readonly least: number;
  readonly most: number;
  /** What to write in the file when one is missing. */
  readonly example: string;
}

/** The plugin types of a program, by name. */
export type PluginTypes = Readonly<Record<string, PluginType<unknown>>>;

/** The enabled plugins of each type, in the order of the file. */
export type Enabled<T extends PluginTypes> = {
  readonly [Type in keyof T]: readonly (T[Type] extends PluginType<infer Config> ? Config : never)[];
};

/** Describes a plugin whose configuration follows from its data. */
export function plugin<T extends Table, Config>(
  name: string,
  keys: T,
  meaning: string,
  build: (data: Read<T>, report: (key: string, problem: string) => void) => Config | undefined,
): Plugin<Config> {
  const data = section(keys, meaning);
  return { name, data, meaning, build: (read, report) => build(read as Read<T>, report) };
}

/** The keys beside `plugin_data`. */
export const PLUGIN_KEYS = {
  enabled: defaulted(flag(), true, "Whether the plugin is used; a disabled one is not looked at any further."),
};

interface Declared {
  readonly type: string;
  readonly name: string;
  readonly at: Position;
  readonly blocks: readonly ObjectNode[];
}

/** Reads the plugins of one file. */
export class PluginReader {
  readonly #problems: Problems;
  readonly #sections: SectionReader;

  constructor(problems: Problems, sections: SectionReader) {
    this.#problems = problems;
    this.#sections = sections;
  }

  /** Reports what is wrong; yields what is usable. `at` is where the section stands, or would. */
  read<T extends PluginTypes>(types: T, blocks: readonly ObjectNode[], at: Position): Enabled<T> {
    const configs = Object.fromEntries(Object.keys(types).map((type) => [type, [] as unknown[]]));
    const counts = new Map<string, number>();
    for (const declared of this.#declared(types, blocks)) {
      if (!this.#isEnabled(declared)) continue;
      counts.set(declared.type, (counts.get(declared.type) ?? 0) + 1);
      const config = this.#config(types[declared.type] as PluginType<unknown>, declared);
      if (config !== undefined) configs[declared.type]?.push(config);
    }
    for (const [type, { least, most, example }] of Object.entries(types)) {
      const count = counts.get(type) ?? 0;
      if (count < least) this.#problems.error(at, "plugins", `needs a ${type}: add ${example}`);
      if (count > most)
        this.#problems.error(
          at,
          "plugins",
          `has ${count} enabled plugins of type ${type}; at most ${most} can be used`,
        );
    }
    return configs as unknown as Enabled<T>;
  }

  /** Every plugin of a known type, in order, each once. */
  #declared(types: PluginTypes, blocks: readonly ObjectNode[]): readonly Declared[] {
    const found = new Map<string, Declared>();
    for (const entry of blocks.flatMap((block) => block.entries)) {
      if (!Object.hasOwn(types, entry.key)) {
        this.#unknownType(entry, Object.keys(types));
        continue;
      }
      for (const named of this.#sections.blocks(entry, `plugins.${entry.key}`).flatMap((block) => block.entries)) {
        const path = pathOf(entry.key, named.key);
        const earlier = found.get(path);
        if (earlier !== undefined) {
          this.#problems.error(named.at, path, `is declared twice; first on line ${earlier.at.line}`);
        } else {
          const bodies = this.#sections.blocks(named, path);
          found.set(path, { type: entry.key, name: named.key, at: named.at, blocks: bodies });
        }
      }
    }
    return [...found.values()];
  }

  #unknownType(entry: Entry, known: readonly string[]): void {
    const guess = nearest(entry.key, known);
    const hint = guess === undefined ? `known: ${known.join(", ")}` : `did you mean ${guess}?`;
    this.#problems.error(entry.at, `plugins.${entry.key}`, `unknown plugin type; ${hint}`);
  }

  #isEnabled(declared: Declared): boolean {
    const entries = declared.blocks.flatMap((block) => block.entries);
    return !entries.some(({ key, value }) => key === "enabled" && value.kind === "boolean" && !value.value);
  }

  #config(type: PluginType<unknown>, declared: Declared): unknown {
    const path = pathOf(declared.type, declared.name);
    const entries = declared.blocks.flatMap((block) => block.entries);
    const outside = entries.filter(({ key }) => PLUGIN_NOT_IMPLEMENTED.some((row) => row.key === key));
    for (const entry of outside) {
      const row = PLUGIN_NOT_IMPLEMENTED.find(({ key }) => key === entry.key);
      if (row !== undefined) this.#sections.notImplemented(row, entry, `${path}.${entry.key}`);
    }
    const known = type.plugins.find(({ name }) => name === declared.name);
    if (known === undefined) {
      // A program of the operator's own may have any name: that it cannot be run was said above.
      if (!outside.some(({ key }) => key === "plugin_cmd")) this.#unknownName(type, declared, path);
      return undefined;
    }
    const block = section({ ...PLUGIN_KEYS, plugin_data: known.data }, known.meaning);
    const rest = entries.filter((entry) => !outside.includes(entry));
    this.#sections.place(path, declared.at);
    const raw = this.#sections.collect(block, [{ kind: "object", entries: rest, at: declared.at }], path);
    const read = this.#sections.parse(block, raw, path);
    if (read === undefined) return undefined;
    return known.build(read.plugin_data, (key, problem) => {
      const full = `${path}.plugin_data.${key}`;
      this.#problems.error(this.#sections.at(full), full, problem);
    });
  }

  #unknownName(type: PluginType<unknown>, declared: Declared, path: string): void {
    const names = type.plugins.map(({ name }) => name);
    const have = names.length === 0 ? "it has no plugins of this type" : `it has ${names.join(", ")}`;
    if (type.notImplemented.includes(declared.name)) {
      this.#problems.error(declared.at, path, `not implemented in this version; ${have}`);
      return;
    }
    const guess = nearest(declared.name, names);
    const hint =
      guess === undefined
        ? `known: ${names.join(", ") || "none"}`
        : `did you mean ${guess}? Known: ${names.join(", ")}`;
    this.#problems.error(declared.at, path, `unknown plugin; ${hint}`);
  }
}

function pathOf(type: string, name: string): string {
  return `plugins.${type}.${name}`;
}
