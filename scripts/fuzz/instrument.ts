/** Puts counters into modules as they are loaded, where the program can take one way or another. */
import { registerHooks, stripTypeScriptTypes } from "node:module";
import { parseAst } from "rolldown/parseAst";
import { Coverage } from "./coverage.ts";
import { Words } from "./words.ts";

/** A node of the syntax tree, as far as it matters here. */
interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [key: string]: unknown;
}

/** Counts in the modules whose URL contains one of `parts`, from now on. Returns their constants, which grow as they load. */
export function instrument(parts: readonly string[], coverage: Coverage): readonly Uint8Array[] {
  const words = new Words();
  coverage.install();
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      if (loaded.format !== "module-typescript" || !parts.some((part) => url.includes(part))) return loaded;
      const source = stripTypeScriptTypes(text(loaded.source));
      return { ...loaded, format: "module", source: withCounters(source, coverage, words) };
    },
  });
  return words.list;
}

function text(source: string | ArrayBuffer | NodeJS.TypedArray | undefined): string {
  if (source === undefined) throw new Error("a module without source");
  return typeof source === "string" ? source : new TextDecoder().decode(source);
}

/** The same program, line by line, which counts. Its literals go to `words`. */
export function withCounters(source: string, coverage: Coverage, words: Words): string {
  const insertions = new Insertions(() => `__c[${coverage.place()}]++`);
  visit(parseAst(source) as unknown as Node, (node) => {
    insertions.nextNode();
    count(node, insertions);
    if (node.type === "Literal") words.add(node.value);
    if (node.type === "TemplateElement") words.add((node.value as { readonly cooked?: unknown }).cooked);
  });
  return `const __c = ${Coverage.expression};${insertions.into(source)}`;
}

function count(node: Node, insertions: Insertions): void {
  switch (node.type) {
    case "FunctionDeclaration":
    case "FunctionExpression":
    case "CatchClause":
    case "ForStatement":
    case "ForOfStatement":
    case "WhileStatement":
      insertions.statement(node.body as Node);
      return;
    case "ArrowFunctionExpression":
      if ((node.body as Node).type === "BlockStatement") insertions.statement(node.body as Node);
      else insertions.expression(node.body as Node);
      return;
    case "IfStatement":
      insertions.statement(node.consequent as Node);
      if (isNode(node.alternate)) insertions.statement(node.alternate);
      else insertions.otherwise(node);
      return;
    case "ConditionalExpression":
      insertions.expression(node.consequent as Node);
      insertions.expression(node.alternate as Node);
      return;
    case "LogicalExpression":
      insertions.expression(node.right as Node);
      return;
    case "SwitchCase":
      insertions.first(node.consequent as readonly Node[]);
      return;
  }
}

/** Texts to put into a source, in the order that nested nodes want. */
class Insertions {
  readonly #counter: () => string;
  readonly #list: { readonly at: number; readonly text: string; readonly ends: boolean; readonly node: number }[] = [];
  #node = 0;

  constructor(counter: () => string) {
    this.#counter = counter;
  }

  /** Nodes are visited from the outside in. */
  nextNode(): void {
    this.#node++;
  }

  expression(node: Node): void {
    this.#add(node.start, `(${this.#counter()}, `, false);
    this.#add(node.end, ")", true);
  }

  statement(node: Node): void {
    if (node.type === "BlockStatement") {
      this.#add(node.start + 1, `${this.#counter()};`, false);
      return;
    }
    this.#add(node.start, `{${this.#counter()};`, false);
    this.#add(node.end, "}", true);
  }

  /** An `else` for an `if` that has none. */
  otherwise(node: Node): void {
    this.#add(node.end, ` else {${this.#counter()};}`, true);
  }

  first([node]: readonly Node[]): void {
    if (node !== undefined) this.#add(node.start, `${this.#counter()};`, false);
  }

  into(source: string): string {
    // What ends a node stands before what begins the next, and the inner end before the outer.
    const sorted = this.#list.toSorted(
      (a, b) =>
        a.at - b.at || Number(b.ends) - Number(a.ends) || (a.ends && b.ends ? b.node - a.node : a.node - b.node),
    );
    let from = 0;
    let result = "";
    for (const { at, text: inserted } of sorted) {
      result += source.slice(from, at) + inserted;
      from = at;
    }
    return result + source.slice(from);
  }

  #add(at: number, inserted: string, ends: boolean): void {
    this.#list.push({ at, text: inserted, ends, node: this.#node });
  }
}

function visit(node: Node, see: (node: Node) => void): void {
  see(node);
  for (const value of Object.values(node)) {
    for (const child of Array.isArray(value) ? (value as readonly unknown[]) : [value]) {
      if (isNode(child)) visit(child, see);
    }
  }
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && typeof (value as Partial<Node>).type === "string";
}
