/** Reads HCL 1 into the tree: keys, blocks with labels, lists; several keys on one line, as HCL 1 allows. */
import { Lexer, type Token } from "./lexer.ts";
import {
  type Entry,
  type ListNode,
  MAX_DEPTH,
  type Node,
  type ObjectNode,
  type Position,
  SyntaxProblem,
} from "./node.ts";

/** Reads a whole file. Throws `SyntaxProblem` at the first character that does not fit. */
export function parseHcl(text: string): ObjectNode {
  return new Parser(new Lexer(text)).file();
}

interface Key {
  readonly text: string;
  readonly at: Position;
}

class Parser {
  readonly #lexer: Lexer;
  #token: Token;

  constructor(lexer: Lexer) {
    this.#lexer = lexer;
    this.#token = lexer.next();
  }

  file(): ObjectNode {
    const entries = this.#entries(1);
    if (this.#token.kind !== "end") this.#fail("a key");
    return { kind: "object", entries, at: { line: 1, column: 1 } };
  }

  /** The entries up to a closing brace or the end, which stays. */
  #entries(depth: number): Entry[] {
    const entries: Entry[] = [];
    const assigned = new Map<string, Position>();
    while (this.#token.kind === "identifier" || this.#token.kind === "string") {
      const keys = this.#keys();
      const key = keys[0] as Key;
      if (this.#isSign("=")) {
        this.#checkAssignment(keys, assigned);
        this.#advance();
        entries.push({ key: key.text, value: this.#value(depth + 1), at: key.at });
      } else if (this.#isSign("{")) {
        entries.push(this.#block(keys, depth));
      } else {
        this.#fail(`'=' or '{' after the key ${JSON.stringify(key.text)}`);
      }
      if (this.#isSign(",")) this.#advance();
    }
    return entries;
  }

  #keys(): Key[] {
    const keys: Key[] = [];
    for (;;) {
      const token = this.#token;
      if (token.kind === "identifier") keys.push({ text: token.text, at: token.at });
      else if (token.kind === "string" && !token.heredoc) keys.push({ text: token.value, at: token.at });
      else if (keys.length > 0) return keys;
      else this.#fail("a key");
      this.#advance();
    }
  }

  #checkAssignment(keys: readonly Key[], assigned: Map<string, Position>): void {
    const [key, label] = keys as [Key, Key?];
    if (label !== undefined)
      throw new SyntaxProblem(this.#token.at, "a key with labels takes a block: no '=' before '{'");
    const earlier = assigned.get(key.text);
    if (earlier !== undefined) {
      throw new SyntaxProblem(key.at, `${JSON.stringify(key.text)} is set twice; first on line ${earlier.line}`);
    }
    assigned.set(key.text, key.at);
  }

  /** `key "label" … { }`, each label one level deeper. */
  #block(keys: readonly Key[], depth: number): Entry {
    const [key, ...labels] = keys as [Key, ...Key[]];
    this.#checkDepth(depth + labels.length, key.at);
    let value: Node = this.#object(depth + 1 + labels.length);
    for (const label of labels.reverse()) {
      value = { kind: "object", entries: [{ key: label.text, value, at: label.at }], at: label.at };
    }
    return { key: key.text, value, at: key.at };
  }

  #value(depth: number): Node {
    const token = this.#token;
    switch (token.kind) {
      case "string":
        this.#advance();
        return { kind: "string", value: token.value, at: token.at };
      case "number":
        this.#advance();
        return { kind: "number", value: token.value, text: token.text, at: token.at };
      case "boolean":
        this.#advance();
        return { kind: "boolean", value: token.value, at: token.at };
      case "sign":
        if (token.text === "{") return this.#object(depth);
        if (token.text === "[") return this.#list(depth);
        return this.#fail("a value");
      case "identifier":
        throw new SyntaxProblem(token.at, "a text value must be in quotes");
      case "end":
        return this.#fail("a value");
    }
  }

  #object(depth: number): ObjectNode {
    const at = this.#token.at;
    this.#checkDepth(depth, at);
    this.#advance();
    const entries = this.#entries(depth);
    if (!this.#isSign("}")) this.#fail(`a key or the '}' for the '{' on line ${at.line}`);
    this.#advance();
    return { kind: "object", entries, at };
  }

  #list(depth: number): ListNode {
    const at = this.#token.at;
    this.#checkDepth(depth, at);
    this.#advance();
    const items: Node[] = [];
    while (!this.#isSign("]")) {
      items.push(this.#value(depth + 1));
      if (this.#isSign(",")) this.#advance();
      else if (!this.#isSign("]")) this.#fail(`',' or the ']' for the '[' on line ${at.line}`);
    }
    this.#advance();
    return { kind: "list", items, at };
  }

  #checkDepth(depth: number, at: Position): void {
    if (depth > MAX_DEPTH) throw new SyntaxProblem(at, `nested deeper than ${MAX_DEPTH} levels`);
  }

  #isSign(text: string): boolean {
    return this.#token.kind === "sign" && this.#token.text === text;
  }

  #advance(): void {
    this.#token = this.#lexer.next();
  }

  #fail(expected: string): never {
    throw new SyntaxProblem(this.#token.at, `expected ${expected}, found ${describe(this.#token)}`);
  }
}

/** Names a token without repeating what a string holds: it may be a secret. */
function describe(token: Token): string {
  switch (token.kind) {
    case "end":
      return "the end of the file";
    case "sign":
      return `'${token.text}'`;
    case "identifier":
      return token.text;
    case "string":
      return "a string";
    case "number":
      return "a number";
    case "boolean":
      return String(token.value);
  }
}
