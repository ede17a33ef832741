/** Reads the tables of messages and methods in the wire-fact documents into plain values, all names as written there. */

export interface SpecField {
  readonly tag: number;
  readonly name: string;
  /** As written, without marks; undefined where the table leaves it out. */
  readonly type: string | undefined;
  readonly repeated: boolean;
  /** Marked `?`: explicit presence. */
  readonly optional: boolean;
  readonly deprecated: boolean;
  readonly oneof: string | undefined;
  /** Fields of the field's own type, where the table explains them in brackets. */
  readonly inner: readonly { readonly tag: number; readonly name: string }[];
}

export interface SpecRow {
  readonly kind: "message" | "enum";
  readonly name: string;
  readonly fields: readonly SpecField[];
  /** Of an enum, as `NAME=number`. */
  readonly values: readonly string[];
}

export interface SpecMethod {
  readonly name: string;
  readonly stream: "unary" | "server stream" | "bidi";
  readonly request: string;
  readonly response: string;
}

export interface SpecTable {
  readonly section: number;
  readonly rows: readonly SpecRow[];
  readonly methods: readonly SpecMethod[];
}

const fieldPattern =
  /^(?:oneof (?<group>\w+): )?(?<tag>\d+) `(?<name>\w+)`(?:: (?<type>map<\w+,\w+>|[\w.]+)(?<mark>\[\]|\?)?)?(?<rest>.*)$/u;

/** Splits at `;` outside of brackets. */
function splitFields(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let part = "";
  for (const character of text) {
    depth += "({".includes(character) ? 1 : ")}".includes(character) ? -1 : 0;
    if (character === ";" && depth === 0) {
      parts.push(part.trim());
      part = "";
    } else {
      part += character;
    }
  }
  return [...parts, part.trim()];
}

function parseFields(text: string): SpecField[] {
  let sticky: string | undefined;
  return splitFields(text).map((part) => {
    const groups = fieldPattern.exec(part)?.groups;
    if (groups?.tag === undefined || groups.name === undefined) {
      throw new Error(`not a field: ${part}`);
    }
    // `oneof x:` before a field holds for all that follow in the row.
    sticky = groups.group ?? sticky;
    const rest = groups.rest ?? "";
    const inner = [...rest.matchAll(/(\d+) `(\w+)`/gu)].map(([, tag, name]) => ({
      tag: Number(tag),
      name: name ?? "",
    }));
    return {
      tag: Number(groups.tag),
      name: groups.name,
      type: groups.type,
      repeated: groups.mark === "[]",
      optional: groups.mark === "?",
      deprecated: rest.includes("(deprecated)"),
      oneof: /\{oneof (\w+)\}/u.exec(rest)?.[1] ?? sticky,
      inner,
    };
  });
}

function parseRow(first: string, second: string): SpecRow[] {
  if (first.startsWith("enum ")) {
    return [{ kind: "enum", name: first.slice("enum ".length), fields: [], values: second.split(", ") }];
  }
  const names = first.replace(/ \(.*\)$/u, "").split(", ");
  const fields = second === "(empty)" ? [] : parseFields(second);
  return names.map((name) => ({ kind: "message", name, fields, values: [] }));
}

function parseMethod(cells: readonly string[], before: SpecMethod | undefined): SpecMethod {
  const [name = "", stream = "", messages = ""] = cells;
  const shape = stream.startsWith("bidi") ? "bidi" : stream;
  if (shape !== "unary" && shape !== "server stream" && shape !== "bidi") {
    throw new Error(`not a stream shape: ${stream}`);
  }
  if (messages === "same" && before !== undefined) {
    return { ...before, name, stream: shape };
  }
  const [request = "", response] = messages.replace(/ \(.*\)$/u, "").split(/ -> |\//u);
  if (response === undefined) {
    throw new Error(`not a request and a response: ${messages}`);
  }
  // `FooRequest/Response` is short for `FooRequest -> FooResponse`.
  return {
    name,
    stream: shape,
    request,
    response: response === "Response" ? request.replace(/Request$/u, response) : response,
  };
}

const cellsOf = (line: string): string[] =>
  line
    .split("|")
    .slice(1, -1)
    .map((cell) => cell.trim());

/** All tables headed `Message | Fields…` or `Method | Stream | …`, in order. */
export function parseSpecTables(markdown: string): SpecTable[] {
  const tables: { section: number; rows: SpecRow[]; methods: SpecMethod[] }[] = [];
  let section = 0;
  let table: "messages" | "methods" | "other" | undefined;
  for (const line of markdown.split("\n")) {
    section = Number(/^## (\d+)\./u.exec(line)?.[1] ?? section);
    if (!line.startsWith("|")) {
      table = undefined;
      continue;
    }
    const cells = cellsOf(line);
    const [first = "", second = ""] = cells;
    if (table === undefined) {
      table = first === "Message" ? "messages" : first === "Method" && second === "Stream" ? "methods" : "other";
      if (table !== "other") {
        tables.push({ section, rows: [], methods: [] });
      }
    } else if (table !== "other" && !/^-+$/u.test(first)) {
      const current = tables.at(-1);
      if (table === "messages") {
        current?.rows.push(...parseRow(first, second));
      } else {
        current?.methods.push(parseMethod(cells, current.methods.at(-1)));
      }
    }
  }
  return tables;
}
