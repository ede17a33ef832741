import { expect, test } from "vitest";
import { MAX_BYTES } from "../../../src/config/hcl/node.ts";
import { readTree } from "../../../src/config/hcl/read.ts";
import { plain } from "./plain.ts";

test("what starts with a brace is JSON, the rest is HCL", () => {
  const expected = { object: [["a", { object: [["b", 1]] }]] };
  expect(plain(readTree(' \n{"a": {"b": 1}}'))).toEqual(expected);
  expect(plain(readTree("a { b = 1 }"))).toEqual(expected);
});

test("a byte order mark is skipped", () => {
  expect(plain(readTree("\ufeffa = 1"))).toEqual({ object: [["a", 1]] });
  expect(plain(readTree('\ufeff{"a": 1}'))).toEqual({ object: [["a", 1]] });
});

test("the size has a bound, in bytes", () => {
  const comment = `#${"é".repeat(MAX_BYTES / 2 - 1)}`;
  expect(Buffer.byteLength(comment)).toBe(MAX_BYTES - 1);
  expect(readTree(comment).entries).toEqual([]);
  expect(() => readTree(`${comment}é`)).toThrow(`the file is larger than ${MAX_BYTES} bytes`);
});

test("a large file is read in a moment", () => {
  const text = 'plugins { WorkloadAttestor "unix" { plugin_data { a = "b" } } }\n'.repeat(MAX_BYTES / 64 - 1);
  expect(readTree(text).entries.length).toBeGreaterThan(16_000);
}, 5_000);
