import { describe, expect, test } from "vitest";
import { connectionLimits } from "../../../src/server/connection-limits.ts";
import { ConnectionShares, type Place } from "../../../src/server/listener/connection-shares.ts";
import { id } from "../../fakes/entries.ts";

/** Opens named connections and says which were closed. */
function open(limits: { readonly unidentified: number; readonly perId: number }) {
  const shares = new ConnectionShares(limits);
  const closed: string[] = [];
  const enter = (name: string, address: string): Place => shares.enter(address, () => void closed.push(name));
  return { shares, closed, enter };
}

describe("strangers", () => {
  test("in excess close the oldest of the address that has most", () => {
    const { shares, closed, enter } = open({ unidentified: 3, perId: 9 });
    enter("first", "192.0.2.9");
    for (const name of ["a", "b", "c", "d"]) enter(name, "192.0.2.1");
    expect(closed).toEqual(["a", "b"]);
    enter("other", "192.0.2.2");
    expect(closed).toEqual(["a", "b", "c"]);
    expect(shares.unidentified).toBe(3);
  });

  test("of as many addresses close the one that is there longest, never the newcomer", () => {
    const { closed, enter } = open({ unidentified: 2, perId: 9 });
    for (const n of [1, 2, 3, 4]) enter(String(n), `192.0.2.${n}`);
    expect(closed).toEqual(["1", "2"]);
  });

  test("are one where they share an IPv6 network", () => {
    const { closed, enter } = open({ unidentified: 3, perId: 9 });
    enter("agent", "192.0.2.1");
    for (const n of [1, 2, 3, 4]) enter(String(n), `2001:db8::${n}`);
    expect(closed).toEqual(["1", "2"]);
  });

  test("make room when they go, and when they show who they are", () => {
    const { shares, closed, enter } = open({ unidentified: 2, perId: 9 });
    const gone = enter("gone", "192.0.2.1");
    const named = enter("named", "192.0.2.1");
    gone.leave();
    gone.leave();
    named.identify(id("/x"));
    expect(shares.unidentified).toBe(0);
    enter("a", "192.0.2.1");
    enter("b", "192.0.2.1");
    expect(closed).toEqual([]);
    named.leave();
    expect(shares.unidentified).toBe(2);
  });
});

describe("connections of one identity", () => {
  test("in excess close their oldest, and nobody else's", () => {
    const { closed, enter } = open({ unidentified: 9, perId: 2 });
    enter("other", "192.0.2.1").identify(id("/other"));
    for (const name of ["a", "b", "c"]) enter(name, `192.0.2.${name.charCodeAt(0)}`).identify(id("/x"));
    expect(closed).toEqual(["a"]);
  });

  test("that were closed for want of room are not taken in after all", () => {
    const { shares, closed, enter } = open({ unidentified: 1, perId: 1 });
    const late = enter("late", "192.0.2.1");
    enter("next", "192.0.2.1");
    expect(closed).toEqual(["late"]);
    late.identify(id("/x"));
    late.leave();
    enter("known", "192.0.2.1").identify(id("/x"));
    expect(closed).toEqual(["late", "next"]);
    expect(shares.unidentified).toBe(0);
  });
});

test.each([
  [Infinity, { tls: 20_000, unidentified: 4_000, perId: 64, local: 500 }],
  [65_536, { tls: 20_000, unidentified: 4_000, perId: 64, local: 500 }],
  [1_024, { tls: 832, unidentified: 166, perId: 64, local: 92 }],
  [256, { tls: 141, unidentified: 28, perId: 64, local: 15 }],
  [64, { tls: 1, unidentified: 1, perId: 64, local: 1 }],
])("of %d files connections leave some for the server itself", (files, limits) => {
  expect(connectionLimits(files)).toEqual(limits);
});
