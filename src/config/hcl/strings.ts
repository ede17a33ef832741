/** HCL's quoted strings and here-documents. `${` has no meaning here: it is text like any other. */
import type { Cursor } from "./cursor.ts";

const SIMPLE_ESCAPES: Readonly<Record<string, string>> = {
  a: "\u0007",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  "\\": "\\",
  '"': '"',
};

const LARGEST_CODE_POINT = 0x10ffff;

/** Reads a string whose opening quote comes next. */
export function readQuoted(cursor: Cursor): string {
  const start = cursor.position;
  cursor.next();
  let value = "";
  for (;;) {
    value += cursor.match(/[^"\\\n]*/y);
    switch (cursor.peek()) {
      case '"':
        cursor.next();
        return value;
      case "\\":
        value += readEscape(cursor);
        break;
      default:
        cursor.fail("the string is not closed on its line", start);
    }
  }
}

function readEscape(cursor: Cursor): string {
  const start = cursor.position;
  cursor.next();
  const letter = cursor.peek();
  const simple = SIMPLE_ESCAPES[letter];
  if (simple !== undefined) {
    cursor.next();
    return simple;
  }
  const [pattern, radix] = numericEscape(letter);
  const digits = pattern === undefined ? "" : cursor.match(pattern).replace(/^[xuU]/, "");
  const codePoint = digits === "" ? undefined : Number.parseInt(digits, radix);
  if (codePoint === undefined || codePoint > LARGEST_CODE_POINT || (codePoint >= 0xd800 && codePoint <= 0xdfff)) {
    return cursor.fail("unknown escape in a string; write \\\\ for a backslash", start);
  }
  // \x and octal name bytes: above ASCII they would make half a character.
  if (codePoint > 0x7f && !/[uU]/.test(letter)) {
    return cursor.fail("this escape is no character by itself; use \\u and four digits", start);
  }
  return String.fromCodePoint(codePoint);
}

function numericEscape(letter: string): [RegExp | undefined, number] {
  switch (letter) {
    case "x":
      return [/x[0-9a-fA-F]{2}/y, 16];
    case "u":
      return [/u[0-9a-fA-F]{4}/y, 16];
    case "U":
      return [/U[0-9a-fA-F]{8}/y, 16];
    default:
      return [/[0-7]{3}/y, 8];
  }
}

/**
 * Reads `<<EOF` or `<<-EOF` up to the line that holds only the marker, which may be indented in both forms.
 * With `-`, the marker's own indentation is taken off every line, provided that every line has it.
 */
export function readHeredoc(cursor: Cursor): string {
  const start = cursor.position;
  if (!cursor.take("<<")) cursor.fail("expected a value, found '<'", start);
  const hanging = cursor.take("-");
  const marker = cursor.match(/[\p{L}\p{Nd}_]+/uy);
  if (marker === "") cursor.fail("a here-document needs a marker, as in <<EOF", start);
  if (!cursor.take("\n")) cursor.fail("only a line end may follow a here-document's marker");
  const lines: string[] = [];
  for (;;) {
    const line = cursor.match(/[^\n]*/y);
    if (line.trimStart() === marker) return closeHeredoc(lines, hanging ? line.slice(0, line.indexOf(marker)) : "");
    if (!cursor.take("\n")) cursor.fail(`the here-document is not closed: no line holds only its marker`, start);
    lines.push(line);
  }
}

function closeHeredoc(lines: readonly string[], indentation: string): string {
  const indented = lines.every((line) => line.startsWith(indentation));
  return lines.map((line) => `${indented ? line.slice(indentation.length) : line}\n`).join("");
}
