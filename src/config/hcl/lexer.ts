/** Cuts HCL 1 text into tokens. */
import { Cursor } from "./cursor.ts";
import type { Position } from "./node.ts";
import { readHeredoc, readQuoted } from "./strings.ts";

/** Signs that stand for themselves. */
export type Sign = "{" | "}" | "[" | "]" | "=" | ",";

/** One token; `at` is its first character. */
export type Token =
  | { readonly kind: "identifier"; readonly text: string; readonly at: Position }
  | { readonly kind: "string"; readonly value: string; readonly heredoc: boolean; readonly at: Position }
  | { readonly kind: "number"; readonly value: number; readonly text: string; readonly at: Position }
  | { readonly kind: "boolean"; readonly value: boolean; readonly at: Position }
  | { readonly kind: "sign"; readonly text: Sign; readonly at: Position }
  | { readonly kind: "end"; readonly at: Position };

const LETTER = /[\p{L}_]/u;
const IDENTIFIER = /[\p{L}_][\p{L}\p{Nd}_.-]*/uy;
/** Everything up to what cannot belong to a number, so that `12ab` is one wrong number, not two tokens. */
const NUMBER = /-?[0-9.](?:[\p{L}\p{Nd}_.]|(?<=[0-9.][eE])[+-])*/uy;
const DECIMAL = /^-?[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?$/;
const HEX = /^-?0[xX][0-9a-fA-F]+$/;
const OCTAL = /^-?0[0-7]+$/;
const LEADING_ZERO = /^-?0[0-9]+$/;

/** Hands out the tokens of a text, one by one. Throws `SyntaxProblem`. */
export class Lexer {
  readonly #cursor: Cursor;

  constructor(text: string) {
    this.#cursor = new Cursor(text);
  }

  /** The next token; at the end of the text `end`, again and again. */
  next(): Token {
    this.#skipBlanksAndComments();
    const cursor = this.#cursor;
    const at = cursor.position;
    const character = cursor.peek();
    switch (character) {
      case "":
        return { kind: "end", at };
      case "{":
      case "}":
      case "[":
      case "]":
      case "=":
      case ",":
        cursor.next();
        return { kind: "sign", text: character, at };
      case '"':
        return { kind: "string", value: readQuoted(cursor), heredoc: false, at };
      case "<":
        return { kind: "string", value: readHeredoc(cursor), heredoc: true, at };
      default:
        return this.#word(character, at);
    }
  }

  #word(character: string, at: Position): Token {
    const cursor = this.#cursor;
    if (/[0-9.-]/.test(character)) {
      const text = cursor.match(NUMBER);
      return { kind: "number", value: parseNumber(text) ?? cursor.fail("this is not a number", at), text, at };
    }
    const text = LETTER.test(String.fromCodePoint(cursor.text.codePointAt(cursor.offset) ?? 0))
      ? cursor.match(IDENTIFIER)
      : "";
    if (text === "") return cursor.fail(`unexpected character ${JSON.stringify(character)}`, at);
    if (text === "true" || text === "false") return { kind: "boolean", value: text === "true", at };
    return { kind: "identifier", text, at };
  }

  #skipBlanksAndComments(): void {
    const cursor = this.#cursor;
    for (;;) {
      cursor.match(/[ \t\n\r]*/y);
      if (cursor.peek() === "#" || (cursor.peek() === "/" && cursor.peek(1) === "/")) {
        cursor.match(/[^\n]*/y);
      } else if (cursor.peek() === "/" && cursor.peek(1) === "*") {
        const at = cursor.position;
        const end = cursor.text.indexOf("*/", cursor.offset + 2);
        if (end < 0) cursor.fail("the comment is not closed", at);
        cursor.skip(end + 2 - cursor.offset);
      } else {
        return;
      }
    }
  }
}

function parseNumber(text: string): number | undefined {
  const negative = text.startsWith("-");
  const digits = negative ? text.slice(1) : text;
  const magnitude = parseMagnitude(digits);
  return magnitude === undefined || !Number.isFinite(magnitude) ? undefined : negative ? -magnitude : magnitude;
}

function parseMagnitude(digits: string): number | undefined {
  if (HEX.test(digits)) return Number.parseInt(digits.slice(2), 16);
  if (OCTAL.test(digits)) return Number.parseInt(digits, 8);
  // 0189 is neither octal nor, in HCL 1, decimal.
  if (LEADING_ZERO.test(digits)) return undefined;
  return DECIMAL.test(digits) ? Number(digits) : undefined;
}
