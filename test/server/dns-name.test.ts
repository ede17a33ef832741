import { expect, test } from "vitest";
import { checkDnsName, checkWildcardOverlap } from "../../src/server/dns-name.ts";

test.each([
  "com",
  "example.com",
  "*.example.com",
  "xn--ls8h.org",
  "a-hello.com",
  "A1.Example",
  "1.2.3.4",
  `${"a".repeat(63)}.com`,
])("%s is a DNS name", (name) => {
  expect(checkDnsName(name)).toBe(name);
});

test.each([
  ["", "empty or only whitespace"],
  [" ", "empty or only whitespace"],
  ["*.", "empty or only whitespace"],
  [".", "domain ends with dot"],
  ["example.com.", "domain ends with dot"],
  ["*.foo.*.bar", "too many wildcards"],
  ["foo.*.bar", "wildcard must be first label"],
  ["*", "wildcard must be first label"],
  ["*foo.bar", "wildcard must be first label"],
  ["💩.com", "name must be ascii"],
  ["example.💩", "name must be ascii"],
  ["-hello.com", "idna error"],
  ["hello-.com", "idna error"],
  ["under_score.com", "idna error"],
  ["a..b", "idna error"],
  ["ab--cd.com", "idna error"],
  ["spa ce.com", "idna error"],
  ["a\u0000.com", "idna error"],
  ["a\n.com", "idna error"],
  [`${"a".repeat(64)}.com`, "idna error"],
  [Array(64).fill("abcd").join("."), "idna error"],
])("%j is no DNS name", (name, why) => {
  expect(() => checkDnsName(name)).toThrow(why);
});

test("a wildcard may not cover another name of the list", () => {
  const overlaps = (...names: string[]): boolean => {
    try {
      checkWildcardOverlap(names);
      return false;
    } catch (error) {
      expect(error).toMatchObject({ code: "INVALID_ARGUMENT" });
      return true;
    }
  };
  expect(overlaps("example.com", "*.example.com")).toBe(false);
  expect(overlaps("example.com", "*.example.com", "foo.bar.example.com")).toBe(false);
  expect(overlaps("foo.example.com", "*.example.com", "example.com")).toBe(true);
  expect(overlaps("*.example.com", "foo.example.com")).toBe(true);
  expect(overlaps()).toBe(false);
});
