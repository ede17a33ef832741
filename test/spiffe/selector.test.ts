import { expect, test } from "vitest";
import { checkSelector, isSubset, normalizeSelectors, parseSelector, selectorText } from "../../src/spiffe/selector.ts";

test("type:value, where the value may have colons", () => {
  expect(parseSelector("unix:path:/a:b")).toEqual({ type: "unix", value: "path:/a:b" });
});

test.each([["unix"], [":x"], ["unix:"], [""]])("%j is refused", (text) => {
  expect(() => parseSelector(text)).toThrow();
});

test("a type with a colon would make two selectors look alike, so it is refused", () => {
  expect(() => checkSelector({ type: "a:b", value: "c" })).toThrow("contains ':'");
});

test("a set has one canonical form", () => {
  const a = parseSelector("unix:uid:1");
  const b = parseSelector("k8s:ns:x");
  expect(normalizeSelectors([a, b, a])).toEqual([b, a]);
  expect(isSubset([a], new Set([selectorText(a), selectorText(b)]))).toBe(true);
  expect(isSubset([a, b], new Set([selectorText(a)]))).toBe(false);
});
