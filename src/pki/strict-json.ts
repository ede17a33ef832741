/** Reads a JSON object that no two readers can understand differently: what RFC 8259 leaves open is refused. */
import { AgentError } from "../lib/errors.ts";

/** Enough for any claim, and little enough for every protobuf decoder: theirs stop at a hundred messages. */
const MAX_DEPTH = 32;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>;

/**
 * Throws `MALFORMED` for anything else than one object in UTF-8, for members that come twice (RFC 7515 4, RFC 7519 4),
 * numbers that no double holds, halves of surrogate pairs, and more than 32 levels. Messages quote nothing but names.
 */
export function parseStrictJson(bytes: Uint8Array): JsonObject {
  let value: unknown;
  let text: string;
  try {
    text = utf8.decode(bytes);
    value = JSON.parse(text);
  } catch {
    throw malformed("not JSON in UTF-8");
  }
  if (!isJsonObject(value)) throw malformed("not a JSON object");
  checkTokens(text);
  return value;
}

/** Whether a value that came of JSON is an object, and no array. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const Char = {
  quote: 0x22,
  plus: 0x2b,
  comma: 0x2c,
  minus: 0x2d,
  dot: 0x2e,
  zero: 0x30,
  nine: 0x39,
  upperE: 0x45,
  openList: 0x5b,
  backslash: 0x5c,
  closeList: 0x5d,
  lowerE: 0x65,
  open: 0x7b,
  close: 0x7d,
} as const;

/** No number with fewer characters and without an exponent is out of range. */
const LONGEST_SURE_NUMBER = 300;

/**
 * Looks at a text that is known to be JSON: at its strings, numbers and the marks between them, character by character,
 * because it may be made of nothing else and come from anybody.
 */
function checkTokens(text: string): void {
  /** The names of each object that is open; null for an array, undefined for an object without a name so far. */
  const open: (Set<string> | null | undefined)[] = [];
  let expectsName = false;
  let nextEscape = indexOfEscape(text, 0);
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if (char === Char.quote) {
      const end = endOfString(text, at);
      if (nextEscape < at) nextEscape = indexOfEscape(text, at);
      const escaped = nextEscape < end ? readEscaped(text.slice(at, end + 1)) : undefined;
      if (expectsName) addName(open, escaped ?? text.slice(at + 1, end));
      expectsName = false;
      at = end;
    } else if (char === Char.comma) {
      expectsName = open.at(-1) !== null;
    } else if (char === Char.open || char === Char.openList) {
      expectsName = char === Char.open;
      if (open.push(expectsName ? undefined : null) > MAX_DEPTH) throw malformed("JSON nested too deeply");
    } else if (char === Char.close || char === Char.closeList) {
      open.pop();
    } else if (isDigit(char)) {
      at = checkNumber(text, at);
    }
  }
}

function addName(open: (Set<string> | null | undefined)[], name: string): void {
  const names = open.at(-1);
  if (names === undefined || names === null) open[open.length - 1] = new Set([name]);
  else if (names.has(name))
    throw malformed(`duplicate JSON member ${JSON.stringify(name.slice(0, 100).toWellFormed())}`);
  else names.add(name);
}

/** Where the closing quote is. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  for (let char = text.charCodeAt(at); char !== Char.quote; char = text.charCodeAt(++at)) {
    if (char === Char.backslash) at++;
  }
  return at;
}

/** Where the next backslash is; `Infinity` when there is none. */
function indexOfEscape(text: string, from: number): number {
  const at = text.indexOf("\\", from);
  return at < 0 ? Number.POSITIVE_INFINITY : at;
}

/** The value of a string that is spelt with escapes; only these can hold halves of surrogate pairs. */
function readEscaped(literal: string): string {
  const value = JSON.parse(literal) as string;
  if (!value.isWellFormed()) throw malformed("JSON with half a surrogate pair");
  return value;
}

/** Where the last digit is. */
function checkNumber(text: string, start: number): number {
  let end = start;
  let isSure = true;
  for (let char = text.charCodeAt(end + 1); isDigit(char) || isPartOfNumber(char); char = text.charCodeAt(++end + 1)) {
    if (char === Char.lowerE || char === Char.upperE) isSure = false;
  }
  if (isSure && end - start < LONGEST_SURE_NUMBER) return end;
  if (!Number.isFinite(Number(text.slice(start, end + 1)))) throw malformed("JSON number out of range");
  return end;
}

function isDigit(char: number): boolean {
  return char >= Char.zero && char <= Char.nine;
}

function isPartOfNumber(char: number): boolean {
  return char === Char.dot || char === Char.lowerE || char === Char.upperE || char === Char.plus || char === Char.minus;
}

function malformed(message: string): AgentError {
  return new AgentError("MALFORMED", message);
}
