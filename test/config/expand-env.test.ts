import { describe, expect, test } from "vitest";
import { expandEnv } from "../../src/config/expand-env.ts";

const ENV = { HOME: "/root", EMPTY: "", _x1: "under", "1": "one", "*": "star" };

describe("expandEnv", () => {
  // Expected values are those of Go's os.Expand.
  test.each([
    ["$HOME/x", "/root/x"],
    ["${HOME}x", "/rootx"],
    ["$_x1-$_x1.", "under-under."],
    ["a$$b", "a$b"],
    ["$$HOME", "$HOME"],
    ["cost: 5$ or $ 5", "cost: 5$ or $ 5"],
    ['"$"', '"$"'],
    ["$12", "one2"],
    ["${1}${*}$*", "onestarstar"],
    ["# a comment: $HOME", "# a comment: /root"],
    ["$", "$"],
    ["$é", "$é"],
  ])("%s", (text, expected) => {
    expect(expandEnv(text, ENV)).toEqual({ text: expected, warnings: [] });
  });

  test("what is not set reads as empty and is named once, with its place", () => {
    expect(expandEnv("a\n [$NOPE][${NOPE}][$EMPTY]", ENV)).toEqual({
      text: "a\n [][][]",
      warnings: [{ at: { line: 2, column: 3 }, problem: "environment variable NOPE is not set and reads as empty" }],
    });
  });

  test.each([
    ["a${}b", "ab"],
    ["a${b", "ab"],
    ["a${b c}d", "ad"],
  ])("malformed %s", (text, expected) => {
    expect(expandEnv(text, ENV)).toEqual({
      text: expected,
      warnings: [{ at: { line: 1, column: 2 }, problem: "a ${ that names no variable was left out" }],
    });
  });

  test("values are not expanded again", () => {
    expect(expandEnv("$A", { A: "$B", B: "x" }).text).toBe("$B");
  });
});
