import { describe, expect, test } from "vitest";
import { parseJson } from "../../../src/config/hcl/json.ts";
import { SyntaxProblem } from "../../../src/config/hcl/node.ts";
import { plain } from "./plain.ts";

function problem(text: string): string {
  try {
    parseJson(text);
  } catch (error) {
    if (error instanceof SyntaxProblem) return `${error.at.line}:${error.at.column}: ${error.message}`;
    throw error;
  }
  return "none";
}

describe("JSON", () => {
  test("reads every kind of value", () => {
    const text = String.raw`{"s":"a\"\\\/\b\f\n\r\té\ud83d\ude00","n":-1.5e3,"t":true,"f":false,"z":null,"l":[1,[],{}],"o":{}}`;
    expect(plain(parseJson(text))).toEqual({
      object: [
        ["s", 'a"\\/\b\f\n\r\té😀'],
        ["n", -1500],
        ["t", true],
        ["f", false],
        ["z", null],
        ["l", [1, [], { object: [] }]],
        ["o", { object: [] }],
      ],
    });
  });

  test("agrees with the engine's own reader", () => {
    const document = { a: { b: ["x", 1, -0.5, true, null, { c: "é\u2028 \u007f" }] }, "": {}, d: [[], [[1]]] };
    const back = (node: ReturnType<typeof parseJson>): unknown =>
      JSON.parse(JSON.stringify(plain(node)), (_, value: unknown) =>
        typeof value === "object" && value !== null && "object" in value
          ? Object.fromEntries(value.object as [string, unknown][])
          : value,
      );
    for (const indent of [0, 2, "\t"]) {
      expect(back(parseJson(JSON.stringify(document, null, indent)))).toEqual(document);
    }
  });

  test("knows where values stand", () => {
    const tree = parseJson('{\r\n  "a": [\n    7 ]\n}');
    expect(tree.entries[0]!.at).toEqual({ line: 2, column: 3 });
    expect(tree.entries[0]!.value).toMatchObject({
      at: { line: 2, column: 8 },
      items: [{ at: { line: 3, column: 5 } }],
    });
  });

  test.each([
    ["[]", "1:1: expected '{'"],
    ["{", "1:2: expected a key in double quotes"],
    ["{a: 1}", "1:2: expected a key in double quotes"],
    ['{"a" 1}', "1:6: expected ':' after the key \"a\""],
    ['{"a": }', "1:7: expected a JSON value"],
    ['{"a": 1,}', "1:9: expected a key in double quotes"],
    ['{"a": [1,]}', "1:10: expected a JSON value"],
    ['{"a": [1 2]}', "1:10: expected ',' or the ']' for the '[' on line 1"],
    ['{"a": 1 "b": 2}', "1:9: expected ',' or the '}' for the '{' on line 1"],
    ['{"a": 1} x', "1:10: unexpected text after the closing '}'"],
    ['{"a": 1,\n"a": 2}', '2:1: "a" is set twice; first on line 1'],
    ['{"a": "b', "1:7: the string is not closed on its line, or holds a control character"],
    ['{"a": "b\n"}', "1:7: the string is not closed on its line, or holds a control character"],
    [String.raw`{"a": "\x41"}`, "1:8: unknown escape in a string; write \\\\ for a backslash"],
    ['{"a": 01}', "1:7: expected a JSON value"],
    ['{"a": +1}', "1:7: expected a JSON value"],
    ['{"a": 1.}', "1:7: expected a JSON value"],
    ['{"a": 1e999}', "1:7: too large a number"],
    ['{"a": nul}', "1:7: expected a JSON value"],
    ['{"a": truex}', "1:7: expected a JSON value"],
    ['{"a": 1 // no\n}', "1:9: expected ',' or the '}' for the '{' on line 1"],
  ])("refuses %j", (text, expected) => {
    expect(problem(text)).toBe(expected);
  });

  test("nesting has an end", () => {
    expect(problem(`{"a":${"[".repeat(100_000)}`)).toContain("nested deeper than 64 levels");
    expect(problem('{"a":'.repeat(100_000))).toContain("nested deeper than 64 levels");
  });
});
