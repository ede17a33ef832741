import { describe, expect, test } from "vitest";
import {
  type AuthorityLife,
  activateFrom,
  nextStep,
  prepareFrom,
  refreshHint,
  type Step,
} from "../../../src/server/ca/slots.ts";

const HOUR = 60 * 60 * 1000;
const DAY = 24 * HOUR;

/** An authority issued `from` and valid until `to`, in hours. */
function life(from: number, to: number): AuthorityLife {
  return { issuedAt: from * HOUR, notAfter: to * HOUR };
}

describe("thresholds", () => {
  test.each([
    ["a day", 24 * HOUR, 12 * HOUR, 4 * HOUR],
    ["a week", 168 * HOUR, 84 * HOUR, 28 * HOUR],
    ["60 days: half is 30 days", 60 * DAY, 30 * DAY, 7 * DAY],
    ["a year", 365 * DAY, 30 * DAY, 7 * DAY],
    ["42 days: a sixth is 7 days", 42 * DAY, 21 * DAY, 7 * DAY],
    ["a minute", 60_000, 30_000, 10_000],
  ])("of an authority of %s", (_name, ttl, preparedWith, activatedWith) => {
    const authority = { issuedAt: 5 * DAY, notAfter: 5 * DAY + ttl };
    expect(authority.notAfter - prepareFrom(authority)).toBe(preparedWith);
    expect(authority.notAfter - activateFrom(authority)).toBe(activatedWith);
  });
});

describe("the refresh hint", () => {
  test.each([
    ["a week", 168 * HOUR, 300],
    ["a year", 365 * DAY, 300],
    ["75 minutes", 75 * 60_000, 300],
    ["15 minutes", 15 * 60_000, 60],
    ["a second", 1_000, 1],
  ])(
    "of an authority of %s lets peers look five times before the next one signs (BDL-07, FED-01)",
    (_name, ttl, hint) => {
      expect(refreshHint({ issuedAt: 5 * DAY, notAfter: 5 * DAY + ttl })).toBe(hint);
    },
  );
});

describe("the next step", () => {
  const none = undefined;
  test.each<[string, AuthorityLife | undefined, AuthorityLife | undefined, number, Step]>([
    ["nothing yet", none, none, 0, "prepare"],
    ["first one prepared", none, life(0, 24), 0, "activate"],
    ["fresh", life(0, 24), none, 1, "wait"],
    ["exactly half left", life(0, 24), none, 12, "wait"],
    ["less than half left", life(0, 24), none, 12.01, "prepare"],
    ["prepared in time", life(0, 24), life(12, 36), 13, "wait"],
    ["exactly a sixth left", life(0, 24), life(12, 36), 20, "wait"],
    ["less than a sixth left", life(0, 24), life(12, 36), 20.01, "activate"],
    ["less than a sixth left, and nothing prepared", life(0, 24), none, 20.01, "prepare"],
    ["expired, with a next one", life(0, 24), life(12, 36), 24, "activate"],
    ["expired, without", life(0, 24), none, 24, "prepare"],
    ["both expired", life(0, 24), life(12, 36), 40, "prepare"],
    ["the next one expired before the current", life(0, 240), life(1, 25), 121, "prepare"],
    ["the next one expired and not needed yet", life(0, 240), life(1, 25), 30, "wait"],
  ])("%s", (_name, current, next, hour, step) => {
    expect(nextStep({ current, next }, hour * HOUR)).toBe(step);
  });
});
