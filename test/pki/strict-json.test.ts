import { describe, expect, test } from "vitest";
import { AgentError } from "../../src/lib/errors.ts";
import { parseStrictJson } from "../../src/pki/strict-json.ts";

const read = (text: string): unknown => parseStrictJson(Buffer.from(text));

describe("accepted", () => {
  test.each([
    ["nothing in it", "{}"],
    ["every kind of value", '{"a":[1,-2.5e+3,0,"x",true,false,null,{}],"b":{"a":1},"":""}'],
    ["marks, quotes and backslashes in texts", String.raw`{"{,[\"":"],}\\","\\":"\"","c\n":["\\\"",","]}`],
    ["the same name in other objects", '[{"a":1},{"a":{"a":[{"a":1},{"a":2}]}}]'.replace(/^.*$/, '{"x":$&}')],
    ["names that are texts elsewhere", '{"a":"b","b":"a","c":["a","a"]}'],
    ["white space", ' {\n\t"a" :\r[ 1 , 2 ] , "b" : { } } '],
    ["a whole surrogate pair, spelt with escapes", String.raw`{"a":"\ud83d\ude00"}`],
    ["the largest numbers", `{"a":[1.7976931348623157e308,-1e308,1e-400,${"9".repeat(308)}]}`],
    ["32 levels", `{"a":${"[".repeat(31)}${"]".repeat(31)}}`],
    ["deep and shallow again", `{"a":${"[".repeat(31)}${"]".repeat(31)},"b":${"[".repeat(31)}${"]".repeat(31)}}`],
  ])("%s", (_what, text) => {
    expect(read(text)).toEqual(JSON.parse(text));
  });
});

describe("refused", () => {
  const many = Array.from({ length: 9_000 }, () => '""').join();
  test.each([
    ["a name twice", '{"a":1,"b":{},"a":2}', 'duplicate JSON member "a"'],
    ["after an object and a list", '{"a":{"x":[{}]},"b":[{"y":1}],"a":2}', 'duplicate JSON member "a"'],
    ["the second spelt with an escape", String.raw`{"a":1,"\u0061":2}`, 'duplicate JSON member "a"'],
    ["with escapes in both", String.raw`{"\"\\":1,"\u0022\u005c":2}`, String.raw`duplicate JSON member "\"\\"`],
    ["in an object in a list", '{"x":[0,{"a":1},{"b":1,"b":1}]}', 'duplicate JSON member "b"'],
    ["the empty name", '{"":1,"":2}', 'duplicate JSON member ""'],
    ["__proto__", '{"__proto__":1,"__proto__":2}', 'duplicate JSON member "__proto__"'],
    ["33 levels", `{"a":${'{"a":'.repeat(32)}0${"}".repeat(32)}}`, "JSON nested too deeply"],
    ["a number out of range", '{"a":[1,1e309]}', "JSON number out of range"],
    ["a negative one", '{"a":-1E+999}', "JSON number out of range"],
    ["one without an exponent", `{"a":1${"0".repeat(309)}}`, "JSON number out of range"],
    ["half a pair in a text", String.raw`{"a":["\\","x\udc00"]}`, "JSON with half a surrogate pair"],
    ["half a pair in a name", String.raw`{"\ud800":1}`, "JSON with half a surrogate pair"],
    ["half a pair behind much else", String.raw`{"a":[${many}],"b":"\ud800"}`, "JSON with half a surrogate pair"],
    ["a list", "[]", "not a JSON object"],
    ["no JSON", "{", "not JSON in UTF-8"],
  ])("%s", (_what, text, message) => {
    expect(() => read(text)).toThrow(new AgentError("MALFORMED", message));
  });
});
