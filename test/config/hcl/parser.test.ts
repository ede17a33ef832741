import { describe, expect, test } from "vitest";
import { MAX_DEPTH, SyntaxProblem } from "../../../src/config/hcl/node.ts";
import { parseHcl } from "../../../src/config/hcl/parser.ts";
import { plain } from "./plain.ts";

function read(text: string): unknown {
  return plain(parseHcl(text));
}

function value(text: string): unknown {
  const tree = parseHcl(`k = ${text}\n`);
  expect(tree.entries).toHaveLength(1);
  return plain(tree.entries[0]!.value);
}

function problem(text: string): string {
  try {
    parseHcl(text);
  } catch (error) {
    if (error instanceof SyntaxProblem) return `${error.at.line}:${error.at.column}: ${error.message}`;
    throw error;
  }
  return "none";
}

describe("structure", () => {
  test("an empty file is an empty object", () => {
    expect(read("")).toEqual({ object: [] });
    expect(read(" \n\t# only a comment")).toEqual({ object: [] });
  });

  test("keys are bare or quoted, and several may share a line", () => {
    expect(read(`a = 1 "b c" = 2 d-e.f = 3`)).toEqual({
      object: [
        ["a", 1],
        ["b c", 2],
        ["d-e.f", 3],
      ],
    });
  });

  test("labels nest, bare or quoted", () => {
    const nested = { object: [["a", { object: [["b", { object: [["c", { object: [["x", 1]] }]] }]] }]] };
    expect(read(`a "b" "c" { x = 1 }`)).toEqual(nested);
    expect(read(`a b c { x = 1 }`)).toEqual(nested);
    expect(read(`a { b { c { x = 1 } } }`)).toEqual(nested);
  });

  test("blocks of one name are all kept, in order", () => {
    expect(read(`a "x" {}\nb = true\na "y" {}`)).toEqual({
      object: [
        ["a", { object: [["x", { object: [] }]] }],
        ["b", true],
        ["a", { object: [["y", { object: [] }]] }],
      ],
    });
  });

  test("objects may be assigned, and commas may stand between entries", () => {
    expect(read(`a = { b = 1, c = 2, }, d = 3`)).toEqual({
      object: [
        [
          "a",
          {
            object: [
              ["b", 1],
              ["c", 2],
            ],
          },
        ],
        ["d", 3],
      ],
    });
  });

  test("lists nest, hold objects and may end in a comma", () => {
    expect(value(`[1, "a", true, [2], { b = 3 }, ]`)).toEqual([1, "a", true, [2], { object: [["b", 3]] }]);
    expect(value("[]")).toEqual([]);
  });

  test("comments of every kind are skipped", () => {
    expect(read(`# one\n// two\na /* three\n lines */ = /**/ 1 // end\n# last`)).toEqual({ object: [["a", 1]] });
  });

  test("positions count lines and columns from one, also after CRLF", () => {
    const tree = parseHcl('a = 1\r\n  b "c" {\r\n    d = "x" }\r\n');
    expect(tree.entries[1]!.at).toEqual({ line: 2, column: 3 });
    const label = tree.entries[1]!.value;
    if (label.kind !== "object") throw new Error("no object");
    expect(label.entries[0]!.at).toEqual({ line: 2, column: 5 });
    const block = label.entries[0]!.value;
    if (block.kind !== "object") throw new Error("no object");
    expect(block.entries[0]!.at).toEqual({ line: 3, column: 5 });
    expect(block.entries[0]!.value.at).toEqual({ line: 3, column: 9 });
  });
});

describe("scalars", () => {
  test.each([
    ["0", 0],
    ["8081", 8081],
    ["-4", -4],
    ["1.5", 1.5],
    ["-0.25", -0.25],
    ["1e3", 1000],
    ["1.5E-2", 0.015],
    ["0x1F", 31],
    ["017", 15],
  ])("number %s", (text, expected) => {
    expect(value(text)).toBe(expected);
  });

  test.each(["1b", "0x", "0xfg", "089", "1e", "1.2.3", "--1", "-", "1e999"])("no number %s", (text) => {
    expect(problem(`k = ${text}`)).toMatch(/^1:5: this is not a number$/);
  });

  test("a number keeps its spelling", () => {
    expect(parseHcl("k = 0x10").entries[0]!.value).toMatchObject({ value: 16, text: "0x10" });
  });

  test.each([
    [String.raw`"a\"b\\c"`, 'a"b\\c'],
    [String.raw`"\n\t\r\a\b\f\v"`, "\n\t\r\u0007\b\f\v"],
    [String.raw`"\x41\101\u00e9\U0001F600"`, "AAé😀"],
    [`"été 😀"`, "été 😀"],
    ['"${NOT_EXPANDED} $x"', "${NOT_EXPANDED} $x"],
    ['""', ""],
  ])("string %s", (text, expected) => {
    expect(value(text)).toBe(expected);
  });

  test.each([String.raw`"\q"`, String.raw`"\x4"`, String.raw`"\uD800"`, String.raw`"\U00110000"`, String.raw`"\18"`])(
    "bad escape %s",
    (text) => {
      expect(problem(`k = ${text}`)).toBe("1:6: unknown escape in a string; write \\\\ for a backslash");
    },
  );

  test("a byte above ASCII is no character", () => {
    expect(problem(String.raw`k = "\xff"`)).toMatch(/^1:6: this escape is no character/);
    expect(problem(String.raw`k = "\377"`)).toMatch(/^1:6: this escape is no character/);
  });

  test("here-documents keep their lines", () => {
    expect(value("<<EOF\none\n  two\nEOF")).toBe("one\n  two\n");
    expect(value("<<EOF\nEOF\n")).toBe("");
    expect(value("<<EOF\nEOF2\n EOF x\n\t EOF\n")).toBe("EOF2\n EOF x\n");
  });

  test("hanging here-documents lose the marker's indentation if every line has it", () => {
    expect(value("<<-EOF\n  one\n    two\n  EOF")).toBe("one\n  two\n");
    expect(value("<<-EOF\n one\n    two\n  EOF")).toBe(" one\n    two\n");
  });
});

describe("refusals name the place", () => {
  test.each([
    ["a = ", "1:5: expected a value, found the end of the file"],
    ["a = b", "1:5: a text value must be in quotes"],
    ["a", "1:2: expected '=' or '{' after the key \"a\", found the end of the file"],
    ["a 1", "1:3: expected '=' or '{' after the key \"a\", found a number"],
    ["= 1", "1:1: expected a key, found '='"],
    ["{ }", "1:1: expected a key, found '{'"],
    ["a { b = 1", "1:10: expected a key or the '}' for the '{' on line 1, found the end of the file"],
    ["a {\n b = 1\n]", "3:1: expected a key or the '}' for the '{' on line 1, found ']'"],
    ["a = 1\n}", "2:1: expected a key, found '}'"],
    ["a = [1 2]", "1:8: expected ',' or the ']' for the '[' on line 1, found a number"],
    ["a = [1,", "1:8: expected a value, found the end of the file"],
    ["a = [,]", "1:6: expected a value, found ','"],
    ['a "b" = 1', "1:7: a key with labels takes a block: no '=' before '{'"],
    ["a = 1\nb = 2\na = 3", '3:1: "a" is set twice; first on line 1'],
    ['a = "open\nb = 1', "1:5: the string is not closed on its line"],
    ['a = "open', "1:5: the string is not closed on its line"],
    ['a = "open\\', "1:10: unknown escape in a string; write \\\\ for a backslash"],
    ["a = <<EOF\nnever", "1:5: the here-document is not closed: no line holds only its marker"],
    ["a = <<\nx", "1:5: a here-document needs a marker, as in <<EOF"],
    ["a = <<EOF x\nEOF", "1:10: only a line end may follow a here-document's marker"],
    ["a = <b", "1:5: expected a value, found '<'"],
    ["a /* open", "1:3: the comment is not closed"],
    ["a = 1 /", '1:7: unexpected character "/"'],
    ["a = 'x'", '1:5: unexpected character "\'"'],
    ["a: 1", '1:2: unexpected character ":"'],
    ["a = 1\u0000", '1:6: unexpected character "\\u0000"'],
    ["<<EOF\na\nEOF\n = 1", "1:1: expected a key, found a string"],
  ])("%j", (text, expected) => {
    expect(problem(text)).toBe(expected);
  });

  test("a problem never repeats what a string holds", () => {
    expect(problem('a = 1 "hunter2" "hunter3" "hunter4" 5')).not.toContain("hunter3");
    expect(problem('a = [1 "hunter2"]')).not.toContain("hunter2");
  });

  test("nesting has an end, for objects, lists and labels", () => {
    const deep = (depth: number): string => `${"a {".repeat(depth)}${"}".repeat(depth)}`;
    expect(problem(deep(MAX_DEPTH - 1))).toBe("none");
    expect(problem(deep(MAX_DEPTH + 1))).toContain("nested deeper than 64 levels");
    expect(problem(deep(100_000))).toContain("nested deeper than 64 levels");
    expect(problem(`a = ${"[".repeat(100_000)}`)).toContain("nested deeper than 64 levels");
    expect(problem(`a ${'"b" '.repeat(100_000)} {}`)).toContain("nested deeper than 64 levels");
  });
});
