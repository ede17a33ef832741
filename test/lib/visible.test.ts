import { expect, test } from "vitest";
import { visible, visibleLines } from "../../src/lib/visible.ts";

test.each([
  ["plain, ümläut, 日本, 🙂", "plain, ümläut, 日本, 🙂"],
  ["1.0\nSPIFFE ID : x", String.raw`1.0\u000aSPIFFE ID : x`],
  ["\u001b[2J\u0007", String.raw`\u001b[2J\u0007`],
  ["C1: \u009b31m", String.raw`C1: \u009b31m`],
  ["\u202egnp.exe\u2028", String.raw`\u202egnp.exe\u2028`],
  ["\ud800 \u{e0001}", String.raw`\ud800 \udb40\udc01`],
])("%j is shown as %s", (text, shown) => {
  expect(visible(text)).toBe(shown);
});

test("lines stay lines", () => {
  expect(visibleLines("a\n\tb\u001bc\r\n")).toBe("a\n\tb\\u001bc\\u000d\n");
});
