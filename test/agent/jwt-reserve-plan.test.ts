/** Which tokens are held in reserve, which are renewed, and which may be given: tabulated. */
import { describe, expect, test } from "vitest";
import { AskedTokens } from "../../src/agent/jwt-asked.ts";
import {
  type AskedFor,
  isEntitled,
  mayGive,
  planReserve,
  type ReserveToken,
  reserveRefreshAt,
} from "../../src/agent/jwt-reserve-plan.ts";
import type { AuthorizedEntry } from "../../src/spiffe/entry.ts";
import { reserveLeft, reserveLife } from "../../src/spiffe/outage-cover.ts";
import { authorized } from "./entries.ts";

const HOUR = 3_600_000;
const NOW = 1_800_000_000_000;
const BUDGET = 2 * HOUR;
const LIFE = reserveLife(BUDGET);
const web = authorized("web", ["unix:uid:0"]);
const api = authorized("api", ["unix:uid:0"]);

function token(entry: AuthorizedEntry, issuedAt = NOW, life = LIFE): ReserveToken {
  const { spiffeId, revision, createdAt } = entry;
  const svid = { spiffeId, token: "t", keyId: "k", notBefore: issuedAt, notAfter: issuedAt + life };
  return { svid, refreshAt: reserveRefreshAt(svid, issuedAt, () => 0), version: { revision, createdAt } };
}

function asked(entry: AuthorizedEntry, change: Partial<AskedFor> = {}): AskedFor {
  return { entryId: entry.entryId, spiffeId: entry.spiffeId, audience: ["db"], askedAt: NOW, ...change };
}

function plan(all: readonly AskedFor[], change: { maxAudiences?: number; entries?: readonly AuthorizedEntry[] } = {}) {
  const { maxAudiences = 8, entries = [web, api] } = change;
  const found = planReserve(all, {
    now: NOW,
    maxAudiences,
    entry: (entryId) => entries.find((entry) => entry.entryId === entryId),
  });
  const at = (list: readonly AskedFor[]): number[] => list.map((one) => all.indexOf(one));
  return { forget: at(found.forget), drop: at(found.drop), renew: at(found.renew) };
}

describe("a reserve's life", () => {
  test.each([60_000, HOUR, BUDGET, 24 * HOUR])("for a budget of %d ms", (budget) => {
    const life = reserveLife(budget);
    expect(life).toBe(1.25 * budget);
    const svid = { notBefore: NOW, notAfter: NOW + life };
    for (const random of [0, 0.5, 0.999]) {
      const left = reserveLeft(life, random);
      expect(left).toBeLessThanOrEqual(1.1 * budget + 1);
      expect(left).toBeGreaterThanOrEqual(1.05 * budget);
      const least = budget === 60_000 ? NOW + 30_000 : svid.notAfter - left;
      expect(reserveRefreshAt(svid, NOW, () => random)).toBe(least);
    }
  });

  test("is never asked for without a pause, however short it is", () => {
    expect(reserveRefreshAt({ notBefore: NOW, notAfter: NOW + 1_000 }, NOW, () => 0)).toBe(NOW + 30_000);
  });
});

describe("what may be given", () => {
  test.each<[string, ReserveToken, AuthorizedEntry, number, boolean]>([
    ["a good one", token(web), web, NOW, true],
    ["in its last moment", token(web), web, NOW + LIFE - 1, true],
    ["expired", token(web), web, NOW + LIFE, false],
    ["by a clock a little behind", token(web), web, NOW - 60_000, true],
    ["by a clock from before it was made", token(web), web, 0, false],
    ["of an entry that was updated", token(web), { ...web, revision: 1n }, NOW, false],
    ["of an entry that was made anew", token(web), { ...web, createdAt: 2 }, NOW, false],
    ["of an entry with another ID by now", token(web), { ...web, spiffeId: api.spiffeId }, NOW, false],
    [
      "of an entry whose tokens have IDs of their own by now",
      token(web),
      { ...web, jwtSvidIncludeJti: true },
      NOW,
      false,
    ],
  ])("%s", (_name, one, entry, now, expected) => {
    expect(mayGive(one, entry, now)).toBe(expected);
  });

  test("entries that are gone, or have tokens with IDs of their own, have none", () => {
    expect(isEntitled(web, web)).toBe(true);
    expect(isEntitled(web, undefined)).toBe(false);
    expect(isEntitled(web, { ...web, jwtSvidIncludeJti: true })).toBe(false);
  });
});

describe("the plan", () => {
  const none = { forget: [], drop: [], renew: [] };

  test("a token is renewed when less than 1.1 times the budget is left, and what has none comes first", () => {
    expect(plan([asked(web, { reserve: token(web) })])).toEqual(none);
    const due = token(web, NOW - (LIFE - 1.1 * BUDGET) - 1);
    const fresh = token(web, NOW - (LIFE - 1.1 * BUDGET) + 1);
    const older = token(web, NOW - LIFE + 5_000);
    expect(
      plan([
        asked(web, { audience: ["a"], reserve: due }),
        asked(web, { audience: ["b"], reserve: fresh }),
        asked(api),
        asked(web, { audience: ["c"], reserve: older }),
      ]),
    ).toEqual({ ...none, renew: [2, 3, 0] });
  });

  test("what nobody asked for in the last day, and what is of no entry any more, is forgotten", () => {
    const all = [
      asked(web, { askedAt: NOW - 24 * HOUR }),
      asked(web, { askedAt: NOW - 24 * HOUR + 1, audience: ["b"], reserve: token(web) }),
      asked(api, { reserve: token(api) }),
    ];
    expect(plan(all, { entries: [web] })).toEqual({ ...none, forget: [0, 2] });
    expect(plan(all, { entries: [web, { ...api, jwtSvidIncludeJti: true }] })).toEqual({ ...none, forget: [0, 2] });
  });

  test("a token of the entry as it was goes, and is had anew; an expired one, too", () => {
    const all = [asked(web, { reserve: token(web) }), asked(api, { reserve: token(api, NOW - LIFE) })];
    expect(plan(all, { entries: [{ ...web, revision: 1n }, api] })).toEqual({
      forget: [],
      drop: [0, 1],
      renew: [1, 0],
    });
  });

  test("what the server refused for this entry is not asked again, until the entry is another", () => {
    const refused = { revision: 0n, createdAt: 1 };
    const all = [asked(web, { refused, reserve: token(web) })];
    expect(plan(all)).toEqual({ ...none, drop: [0] });
    expect(plan([asked(web, { refused })], { entries: [{ ...web, revision: 1n }] })).toEqual({ ...none, renew: [0] });
  });

  test("an identity has no more audiences than the server lets it have, those asked for last", () => {
    const all = [
      asked(web, { audience: ["old"], askedAt: NOW - 3 * HOUR, reserve: token(web) }),
      asked(web, { audience: ["pair", "of"], askedAt: NOW - 2 * HOUR }),
      asked(web, { audience: ["new"], askedAt: NOW }),
      asked(api),
    ];
    expect(plan(all, { maxAudiences: 3 })).toEqual({ forget: [], drop: [0], renew: [2, 1, 3] });
    expect(plan(all, { maxAudiences: 1 })).toEqual({ forget: [], drop: [0], renew: [2, 3] });
  });

  test("within an hour what is held stays, so that a caller with many audiences does not keep the server busy", () => {
    const held = asked(web, { audience: ["held"], askedAt: NOW, reserve: token(web) });
    const more = Array.from({ length: 20 }, (_, at) => asked(web, { audience: [`a${at}`], askedAt: NOW + at }));
    expect(plan([...more, held], { maxAudiences: 1 })).toEqual(none);
  });
});

describe("what was asked for", () => {
  const add = (tokens: AskedTokens, entry: AuthorizedEntry, audience: readonly string[], askedAt = 0) =>
    tokens.add(asked(entry, { audience, askedAt }), audience.join());

  test("is bounded per identity, and the oldest goes", () => {
    const tokens = new AskedTokens();
    for (let at = 0; at < 100; at++) add(tokens, web, [`a${at}`], at);
    add(tokens, api, ["a"]);
    expect(tokens.size).toBe(65);
    expect(tokens.get(web.spiffeId, "web", "a35")).toBeUndefined();
    expect(tokens.get(web.spiffeId, "web", "a36")).toBeDefined();
    expect(tokens.get(api.spiffeId, "api", "a")).toBeDefined();
  });

  test("is bounded in all: who has most gives one up", () => {
    const tokens = new AskedTokens();
    const entries = Array.from({ length: 5_000 }, (_, at) => authorized(`e${at}`, ["unix:uid:0"]));
    for (let at = 0; at < 64; at++) add(tokens, web, [`a${at}`], at);
    for (const entry of entries.slice(0, 4_032)) add(tokens, entry, ["a"]);
    expect(tokens.size).toBe(4_096);
    add(tokens, api, ["a"]);
    expect(tokens.size).toBe(4_096);
    expect(tokens.get(web.spiffeId, "web", "a0")).toBeUndefined();
    expect(tokens.get(api.spiffeId, "api", "a")).toBeDefined();
  });

  test("is not remembered where it is long", () => {
    const tokens = new AskedTokens();
    expect(add(tokens, web, ["x".repeat(1_025)])).toBeUndefined();
    expect(add(tokens, web, ["x".repeat(1_000), "y".repeat(25)])).toBeUndefined();
    expect(add(tokens, web, ["x".repeat(1_024)])).toBeDefined();
    expect([...tokens]).toHaveLength(1);
  });
});
