/** One configuration file in the course of being read: its tree, its problems, the command line's overrides. */
import { AgentError } from "../lib/errors.ts";
import { expandEnv } from "./expand-env.ts";
import { type Entry, type Node, type ObjectNode, type Position, SyntaxProblem } from "./hcl/node.ts";
import { readTree } from "./hcl/read.ts";
import type { Section } from "./keys.ts";
import type { NotImplemented } from "./not-implemented.ts";
import { type Enabled, PluginReader, type PluginTypes } from "./plugins.ts";
import { COMMAND_LINE, Problems } from "./problems.ts";
import { type Raw, SectionReader } from "./section.ts";
import type { Loaded } from "./shared-config.ts";
import { nearest } from "./suggest.ts";

/** Keys of the program's own section (`agent` or `server`) that the command line gives; they win over the file's. Empty texts are not given. */
export type Flags = Readonly<Record<string, string | number | boolean | undefined>>;

/** What is to be loaded. */
export interface Source {
  /** The file's content. */
  readonly text: string;
  /** How problems name the file. */
  readonly fileName: string;
  /** Present: `$X` and `${X}` are replaced from here first (`-expandEnv`). */
  readonly expandEnv?: Readonly<Record<string, string | undefined>>;
  readonly flags?: Flags;
}

const START: Position = { line: 1, column: 1 };

/** Reads sections and gathers problems. */
export class ConfigFile {
  readonly #problems: Problems;
  readonly #sections: SectionReader;
  readonly #entries: readonly Entry[];
  readonly #main: string;
  readonly #flags: Flags;

  /** `main` is the program's own section. Throws an `AgentError` when the text cannot be read at all. */
  constructor(source: Source, main: string, notImplemented: readonly NotImplemented[]) {
    this.#problems = new Problems(source.fileName);
    this.#sections = new SectionReader(this.#problems, notImplemented);
    this.#main = main;
    this.#flags = source.flags ?? {};
    this.#entries = this.#read(source);
    this.#checkTopLevel();
  }

  /** The keys of a top-level section, unvalidated. */
  collect(name: string, section: Section<unknown>): Raw {
    const blocks = this.#blocks(name);
    return this.#sections.collect(section, name === this.#main ? withFlags(blocks, this.#flags) : blocks, name);
  }

  /** The section's value, or `undefined` when anything in it is wrong. */
  parse<T>(name: string, section: Section<T>, raw: Raw): T | undefined {
    return this.#sections.parse(section, raw, name);
  }

  /** The enabled plugins. */
  plugins<T extends PluginTypes>(types: T): Enabled<T> {
    const at = this.#entries.find(({ key }) => key === "plugins")?.at ?? START;
    return new PluginReader(this.#problems, this.#sections).read(types, this.#blocks("plugins"), at);
  }

  error(key: string, problem: string): void {
    this.#problems.error(this.#sections.at(key), key, problem);
  }

  warn(key: string, problem: string): void {
    this.#problems.warn(this.#sections.at(key), key, problem);
  }

  /** The outcome: the frozen configuration, or all the problems as one error. */
  finish<Config extends object>(config: Config | undefined): Loaded<Config> {
    const { errors, warnings } = this.#problems;
    if (errors.length > 0) throw new AgentError("INVALID_ARGUMENT", errors.join("\n"));
    if (config === undefined) throw new Error("a configuration without problems was not put together");
    return Object.freeze({ config: deepFreeze(config), warnings: Object.freeze(warnings) });
  }

  #read(source: Source): readonly Entry[] {
    try {
      return readTree(this.#expanded(source)).entries;
    } catch (error) {
      if (!(error instanceof SyntaxProblem)) throw error;
      this.#problems.error(error.at, "", error.message);
      throw new AgentError("INVALID_ARGUMENT", this.#problems.errors.join("\n"));
    }
  }

  #expanded(source: Source): string {
    if (source.expandEnv === undefined) return source.text;
    const { text, warnings } = expandEnv(source.text, source.expandEnv);
    for (const { at, problem } of warnings) this.#problems.warn(at, "", problem);
    return text;
  }

  #checkTopLevel(): void {
    const known = [this.#main, "plugins", "telemetry", "health_checks"];
    for (const { key, at } of this.#entries) {
      if (known.includes(key)) {
        if (key !== "plugins") this.#sections.place(key, at);
        continue;
      }
      const guess = nearest(key, known);
      this.#problems.error(
        at,
        key,
        `unknown section; ${guess === undefined ? `known: ${known.join(", ")}` : `did you mean ${guess}?`}`,
      );
    }
  }

  #blocks(name: string): readonly ObjectNode[] {
    return this.#entries.filter(({ key }) => key === name).flatMap((entry) => this.#sections.blocks(entry, name));
  }
}

/** The blocks with the command line's values in the place of the file's. */
function withFlags(blocks: readonly ObjectNode[], flags: Flags): readonly ObjectNode[] {
  const entries = Object.entries(flags).flatMap(([key, value]): Entry[] =>
    value === undefined || value === "" ? [] : [{ key, value: flagNode(value), at: COMMAND_LINE }],
  );
  const given = new Set(entries.map(({ key }) => key));
  const kept = blocks.map((block) => ({
    ...block,
    entries: block.entries.filter(({ key }) => !given.has(key.toLowerCase())),
  }));
  return [...kept, { kind: "object", entries, at: COMMAND_LINE }];
}

function flagNode(value: string | number | boolean): Node {
  const at = COMMAND_LINE;
  if (typeof value === "string") return { kind: "string", value, at };
  if (typeof value === "boolean") return { kind: "boolean", value, at };
  return { kind: "number", value, text: String(value), at };
}

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    for (const child of Object.values(value)) deepFreeze(child);
    Object.freeze(value);
  }
  return value;
}
