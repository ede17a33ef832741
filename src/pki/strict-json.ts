/** Reads a JSON object that no two readers can understand differently: what RFC 8259 leaves open is refused. */
import { AgentError } from "../lib/errors.ts";

/** Enough for any claim, and little enough for every protobuf decoder: theirs stop at a hundred messages. */
const MAX_DEPTH = 32;
/** What matters of a text that is known to be JSON: strings, numbers and the marks between them. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*|[{}[\],]/g;
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
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw malformed("not a JSON object");
  checkTokens(text);
  return value as JsonObject;
}

function checkTokens(text: string): void {
  /** The names of each object that is open; null for an array. */
  const open: (Set<string> | null)[] = [];
  let expectsName = false;
  const enter = (names: Set<string> | null): void => {
    if (open.push(names) > MAX_DEPTH) throw malformed("JSON nested too deeply");
    expectsName = names !== null;
  };
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === "{") enter(new Set());
    else if (token === "[") enter(null);
    else if (token === "}" || token === "]") open.pop();
    else if (token === ",") expectsName = open.at(-1) !== null;
    else if (!token.startsWith('"')) checkNumber(token);
    else {
      const string = readString(token);
      if (expectsName) addName(open.at(-1), string);
      expectsName = false;
    }
  }
}

function addName(names: Set<string> | null | undefined, name: string): void {
  if (names?.has(name)) throw malformed(`duplicate JSON member ${JSON.stringify(name.slice(0, 100).toWellFormed())}`);
  names?.add(name);
}

function readString(token: string): string {
  if (!token.includes("\\")) return token.slice(1, -1);
  const value = JSON.parse(token) as string;
  if (!value.isWellFormed()) throw malformed("JSON with half a surrogate pair");
  return value;
}

function checkNumber(token: string): void {
  if (!Number.isFinite(Number(token))) throw malformed("JSON number out of range");
}

function malformed(message: string): AgentError {
  return new AgentError("MALFORMED", message);
}
