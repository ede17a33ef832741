/** Compares a block of the file with the table of its keys: what is known, what SPIRE knows, what nobody knows. */
import type { Entry, Node, ObjectNode, Position } from "./hcl/node.ts";
import type { Key, Section } from "./keys.ts";
import type { NotImplemented } from "./not-implemented.ts";
import type { Problems } from "./problems.ts";
import { nearest } from "./suggest.ts";
import type { Spelling, TextMap } from "./values.ts";

/** Values as the file has them, under their tables' names; sections nest. */
export type Raw = Readonly<Record<string, unknown>>;

/** So many known keys are named when none of them is near an unknown one. */
const LISTABLE = 8;

/** Reads blocks; remembers where each key stands. */
export class SectionReader {
  readonly #problems: Problems;
  readonly #notImplemented: ReadonlyMap<string, NotImplemented>;
  readonly #positions = new Map<string, Position>();

  constructor(problems: Problems, notImplemented: readonly NotImplemented[]) {
    this.#problems = problems;
    this.#notImplemented = new Map(notImplemented.map((row) => [row.key, row]));
  }

  /** Validates a section and returns its value, or `undefined` when anything in it is wrong (and reported). */
  parse<T>(section: Section<T>, raw: Raw | undefined, path: string): T | undefined {
    const result = section.schema.safeParse(raw);
    if (result.success) return result.data;
    for (const issue of result.error.issues) {
      const names = issue.path.filter((step) => typeof step === "string");
      const index = issue.path.find((step) => typeof step === "number");
      const key = [path, ...names].join(".");
      const item = index === undefined ? key : `${key}[${index}]`;
      this.#problems.error(this.at(item), item, issue.message);
    }
    return undefined;
  }

  /** Notes where a block stands. */
  place(path: string, at: Position): void {
    this.#positions.set(path, at);
  }

  /** Where a key stands; for one that is absent, its block. */
  at(path: string): Position {
    for (let key = path; key !== ""; key = key.slice(0, Math.max(0, key.lastIndexOf(".")))) {
      const found = this.#positions.get(key);
      if (found !== undefined) return found;
    }
    return { line: 1, column: 1 };
  }

  /**
   * Gathers a section from the blocks that make it up, several or one; reports unknown keys, keys set twice and
   * values that are no block where one belongs.
   */
  collect(section: Section<unknown>, blocks: readonly ObjectNode[], path: string): Raw {
    const raw: Record<string, unknown> = {};
    const nested = new Map<string, ObjectNode[]>();
    const seen = new Map<string, Position>();
    for (const entry of blocks.flatMap((block) => block.entries)) {
      const name = findName(Object.keys(section.keys), entry.key);
      const item = name === undefined ? undefined : section.keys[name];
      if (name === undefined || item === undefined) {
        this.#unimplementedOrUnknown(entry, Object.keys(section.keys), path);
      } else if (
        !isUnset(entry.value) ||
        (item.kind === "key" && item.spelling === "map" && entry.value.kind !== "null")
      ) {
        const key = `${path}.${name}`;
        if (!this.#positions.has(key)) this.#positions.set(key, entry.at);
        if (item.warning !== undefined) this.#problems.warn(entry.at, key, item.warning);
        if (item.kind === "section" || item.spelling === "map") {
          // What asks for a policy and names none must not read as no policy.
          const isEmptyMap = item.kind === "key" && entry.value.kind === "list" && entry.value.items.length === 0;
          if (isEmptyMap) this.#problems.error(entry.value.at, key, "must be a block { … }");
          nested.set(name, [...(nested.get(name) ?? []), ...this.blocks(entry, key)]);
        } else if (this.#isFirst(seen, name, entry, key)) {
          this.#positions.set(key, entry.value.at);
          raw[name] = this.#plain(entry.value, item, key);
        }
      }
    }
    for (const [name, item] of Object.entries(section.keys)) {
      const found = nested.get(name);
      if (item.kind !== "section") {
        if (found !== undefined && found.length > 0) raw[name] = this.#textMap(found, `${path}.${name}`);
        continue;
      }
      if (found !== undefined || !item.optional) raw[name] = this.collect(item, found ?? [], `${path}.${name}`);
    }
    return raw;
  }

  /** The blocks that an entry stands for: one, or, as JSON may have it, a list of them. */
  blocks(entry: Entry, path: string): readonly ObjectNode[] {
    const nodes = entry.value.kind === "list" ? entry.value.items : [entry.value];
    return nodes.filter((node): node is ObjectNode => {
      if (node.kind === "object") return true;
      this.#problems.error(node.at, path, "must be a block { … }");
      return false;
    });
  }

  /** Names of the file's own, down to texts; a name may be split over blocks, but not be given a value twice. */
  #textMap(blocks: readonly ObjectNode[], path: string): TextMap {
    const map: Record<string, TextMap | readonly string[]> = Object.create(null);
    const inner = new Map<string, ObjectNode[]>();
    for (const { key, value, at } of blocks.flatMap((block) => block.entries)) {
      const name = `${path}.${key}`;
      this.#positions.set(name, at);
      if (value.kind === "object") inner.set(key, [...(inner.get(key) ?? []), value]);
      else if (Object.hasOwn(map, key) || inner.has(key)) this.#problems.error(at, name, "is set twice");
      else map[key] = this.#textList(value, name);
    }
    for (const [key, objects] of inner) {
      if (Object.hasOwn(map, key)) this.#problems.error(this.at(`${path}.${key}`), `${path}.${key}`, "is set twice");
      else map[key] = this.#textMap(objects, `${path}.${key}`);
    }
    return map;
  }

  #textList(node: Node, path: string): readonly string[] {
    const nodes = node.kind === "list" ? node.items : [node];
    return nodes.flatMap((item) => {
      // A list of blocks is how JSON spells several blocks; nobody needs that here.
      if (item.kind === "string") return [item.value];
      this.#problems.error(item.at, path, "must be text in quotes, or a list of such texts");
      return [];
    });
  }

  #isFirst(seen: Map<string, Position>, name: string, entry: Entry, key: string): boolean {
    const earlier = seen.get(name);
    if (earlier === undefined) seen.set(name, entry.at);
    else this.#problems.error(entry.at, key, `is set twice; first on line ${earlier.line}`);
    return earlier === undefined;
  }

  #unimplementedOrUnknown(entry: Entry, known: readonly string[], path: string): void {
    const prefix = `${path}.`;
    const siblings = [...this.#notImplemented.keys()]
      .filter((key) => key.startsWith(prefix))
      .map((key) => key.slice(prefix.length))
      .filter((key) => !key.includes("."));
    const name = findName(siblings, entry.key);
    const row = name === undefined ? undefined : this.#notImplemented.get(prefix + name);
    if (row !== undefined) {
      this.notImplemented(row, entry, row.key);
      return;
    }
    const guess = nearest(entry.key, [...known, ...siblings]);
    const list = known.length > 0 && known.length <= LISTABLE ? `; known here: ${known.join(", ")}` : "";
    const hint = guess === undefined ? list : `; did you mean ${guess}?`;
    this.#problems.error(entry.at, `${path}.${entry.key}`, `unknown key${hint}`);
  }

  /** Reports a key of SPIRE's that is set to something that would matter. */
  notImplemented(row: NotImplemented, entry: Entry, key: string): void {
    const { value } = entry;
    if (isUnset(value) || (value.kind === "list" && value.items.length === 0)) return;
    if ("value" in value && row.harmless?.some((harmless) => harmless === value.value)) return;
    if (row.outcome === "error") this.#problems.error(entry.at, key, `not implemented in this version: ${row.why}`);
    else this.#problems.warn(entry.at, key, `not implemented in this version and ignored: ${row.why}`);
  }

  /** A value for zod, spelt as its key wants it where HCL 1 lets it be spelt otherwise. */
  #plain(node: Node, item: Key<unknown>, key: string): unknown {
    if (node.kind === "list") {
      return node.items.map((child, index) => {
        this.#positions.set(`${key}[${index}]`, child.at);
        return "value" in child ? respell(child, "text") : child;
      });
    }
    return "value" in node ? respell(node, item.spelling) : node;
  }
}

/** Keys match as in HCL 1: also in another case, if no key has just that spelling. */
function findName(names: readonly string[], key: string): string | undefined {
  return names.find((name) => name === key) ?? names.find((name) => name.toLowerCase() === key.toLowerCase());
}

/** As in SPIRE, an empty text is as good as no key. */
function isUnset(node: Node): boolean {
  return node.kind === "null" || (node.kind === "string" && node.value === "");
}

function respell(node: Extract<Node, { value: unknown }>, spelling: Spelling): unknown {
  if (node.kind === "number" && spelling === "text") return node.text;
  if (node.kind === "string" && spelling === "number" && /^-?(?:0|[1-9][0-9]{0,15})$/.test(node.value)) {
    return Number(node.value);
  }
  return node.value;
}
