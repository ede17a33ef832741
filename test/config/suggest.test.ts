import { expect, test } from "vitest";
import { levenshtein, nearest } from "../../src/config/suggest.ts";

test.each([
  ["", "", 0],
  ["abc", "abc", 0],
  ["abc", "", 3],
  ["kitten", "sitting", 3],
  ["flaw", "lawn", 2],
])("levenshtein(%j, %j) is %d", (left, right, expected) => {
  expect(levenshtein(left, right)).toBe(expected);
  expect(levenshtein(right, left)).toBe(expected);
});

test("nearest finds slips, not other words", () => {
  const known = ["trust_domain", "server_address", "server_port"];
  expect(nearest("trust_domian", known)).toBe("trust_domain");
  expect(nearest("TRUST_DOMAIN", known)).toBe("trust_domain");
  expect(nearest("serverport", known)).toBe("server_port");
  expect(nearest("frobnicate", known)).toBeUndefined();
  expect(nearest("x".repeat(100_000), known)).toBeUndefined();
  expect(nearest("anything", [])).toBeUndefined();
});
