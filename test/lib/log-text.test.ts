import { describe, expect, test } from "vitest";
import { formatText } from "../../src/lib/log-text.ts";

const TIME = "2026-01-02T15:04:05.000Z";

describe("formatText", () => {
  test("is SPIRE's format, fields in the order of their names", () => {
    expect(
      formatText(TIME, "info", "Serving", {
        subsystem_name: "agent",
        address: "/run/x@y+z^1_2-3.sock",
        pid: 7,
        ok: true,
      }),
    ).toBe(`time="${TIME}" level=info msg=Serving address=/run/x@y+z^1_2-3.sock ok=true pid=7 subsystem_name=agent`);
  });

  test.each([
    ["two words", '"two words"'],
    ["", '""'],
    ['a="b"', String.raw`"a=\"b\""`],
    ["back\\slash", String.raw`"back\\slash"`],
    ["line\nfeed", String.raw`"line\nfeed"`],
    ["esc\u001b[31m", String.raw`"esc\u001b[31m"`],
    ["c1\u009b31m del\u007f", String.raw`"c1\u009b31m del\u007f"`],
    ["bidi\u202eevil", String.raw`"bidi\u202eevil"`],
    ["sep\u2028\u2029", String.raw`"sep\u2028\u2029"`],
    ["tag\u{e0041}", String.raw`"tag\udb40\udc41"`],
    ["half\ud800", String.raw`"half\ud800"`],
    ["été", '"été"'],
  ])("quotes %j", (value, expected) => {
    expect(formatText(TIME, "info", "m", { k: value })).toBe(`time="${TIME}" level=info msg=m k=${expected}`);
    expect(formatText(TIME, "info", value, {})).toBe(`time="${TIME}" level=info msg=${expected}`);
  });

  test("lists are as Go prints them, and what is undefined is left out", () => {
    expect(
      formatText(TIME, "warning", "m", { selectors: ["a:1", "b:2"], none: [], gone: undefined, big: 2n ** 64n }),
    ).toBe(`time="${TIME}" level=warning msg=m big=18446744073709551616 none="[]" selectors="[a:1 b:2]"`);
  });
});
