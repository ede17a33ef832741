/** Reads JSON (RFC 8259) into the same tree as HCL, with positions; refuses a key that occurs twice. */
import { Cursor } from "./cursor.ts";
import { type Entry, type ListNode, MAX_DEPTH, type Node, type ObjectNode, type Position } from "./node.ts";

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

/** Reads a whole file that holds one object. Throws `SyntaxProblem` at the first character that does not fit. */
export function parseJson(text: string): ObjectNode {
  const cursor = new Cursor(text);
  skipBlanks(cursor);
  if (cursor.peek() !== "{") cursor.fail("expected '{'");
  const tree = readObject(cursor, 1);
  skipBlanks(cursor);
  if (cursor.peek() !== "") cursor.fail("unexpected text after the closing '}'");
  return tree;
}

function readValue(cursor: Cursor, depth: number): Node {
  const at = cursor.position;
  if (depth > MAX_DEPTH) cursor.fail(`nested deeper than ${MAX_DEPTH} levels`);
  switch (cursor.peek()) {
    case "{":
      return readObject(cursor, depth);
    case "[":
      return readList(cursor, depth);
    case '"':
      return { kind: "string", value: readString(cursor), at };
  }
  const number = cursor.match(/-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![\w.+-])/y);
  if (number !== "") {
    const value = Number(number);
    return Number.isFinite(value) ? { kind: "number", value, text: number, at } : cursor.fail("too large a number", at);
  }
  switch (cursor.match(/[a-z]+\b/y)) {
    case "true":
      return { kind: "boolean", value: true, at };
    case "false":
      return { kind: "boolean", value: false, at };
    case "null":
      return { kind: "null", at };
    default:
      return cursor.fail("expected a JSON value", at);
  }
}

function readObject(cursor: Cursor, depth: number): ObjectNode {
  const at = cursor.position;
  cursor.next();
  const entries: Entry[] = [];
  const seen = new Map<string, Position>();
  skipBlanks(cursor);
  if (cursor.take("}")) return { kind: "object", entries, at };
  do {
    skipBlanks(cursor);
    const keyAt = cursor.position;
    if (cursor.peek() !== '"') cursor.fail("expected a key in double quotes");
    const key = readString(cursor);
    const earlier = seen.get(key);
    if (earlier !== undefined) {
      cursor.fail(`${JSON.stringify(key)} is set twice; first on line ${earlier.line}`, keyAt);
    }
    seen.set(key, keyAt);
    skipBlanks(cursor);
    if (!cursor.take(":")) cursor.fail(`expected ':' after the key ${JSON.stringify(key)}`);
    skipBlanks(cursor);
    entries.push({ key, value: readValue(cursor, depth + 1), at: keyAt });
    skipBlanks(cursor);
  } while (cursor.take(","));
  if (!cursor.take("}")) cursor.fail(`expected ',' or the '}' for the '{' on line ${at.line}`);
  return { kind: "object", entries, at };
}

function readList(cursor: Cursor, depth: number): ListNode {
  const at = cursor.position;
  cursor.next();
  const items: Node[] = [];
  skipBlanks(cursor);
  if (cursor.take("]")) return { kind: "list", items, at };
  do {
    skipBlanks(cursor);
    items.push(readValue(cursor, depth + 1));
    skipBlanks(cursor);
  } while (cursor.take(","));
  if (!cursor.take("]")) cursor.fail(`expected ',' or the ']' for the '[' on line ${at.line}`);
  return { kind: "list", items, at };
}

function readString(cursor: Cursor): string {
  const start = cursor.position;
  cursor.next();
  let value = "";
  for (;;) {
    const plain = cursor.match(/[^"\\]*/y);
    // RFC 8259, section 7: control characters must be escaped.
    if (Array.prototype.some.call(plain, (unit: string) => unit < " ")) break;
    value += plain;
    if (cursor.take('"')) return value;
    const escapeAt = cursor.position;
    if (!cursor.take("\\")) break;
    const unicode = cursor.match(/u[0-9a-fA-F]{4}/y);
    const simple = unicode === "" ? ESCAPES[cursor.next()] : String.fromCharCode(Number.parseInt(unicode.slice(1), 16));
    if (simple === undefined) cursor.fail("unknown escape in a string; write \\\\ for a backslash", escapeAt);
    value += simple;
  }
  return cursor.fail("the string is not closed on its line, or holds a control character", start);
}

function skipBlanks(cursor: Cursor): void {
  cursor.match(/[ \t\n\r]*/y);
}
