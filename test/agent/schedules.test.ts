/** The arithmetic of waiting: when to renew, how long to rest after a failure, and pauses that can be cut short. */
import { describe, expect, test } from "vitest";
import { renewalTime } from "../../src/agent/renewal-time.ts";
import { isDisconnected, retryDelay } from "../../src/agent/retry-delay.ts";
import { ServerCallError } from "../../src/agent/server-client-errors.ts";
import { Wakeup } from "../../src/agent/wakeup.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { AgentError } from "../../src/lib/errors.ts";
import { coverKept, coverShortfall, ttlThatCovers } from "../../src/spiffe/outage-cover.ts";
import { FakeClock } from "../fakes/fake-clock.ts";

const HOUR = 3_600_000;
const NOW = 1_000 * HOUR;
const mid = (): number => 0.5;

describe("renewalTime", () => {
  test.each([
    ["half of the lifetime", { notBefore: NOW, notAfter: NOW + 6 * HOUR }, mid, undefined, NOW + 3 * HOUR],
    ["jitter, earliest", { notBefore: NOW, notAfter: NOW + 100 * HOUR }, () => 1, undefined, NOW + 45 * HOUR],
    ["jitter, latest", { notBefore: NOW, notAfter: NOW + 100 * HOUR }, () => 0, undefined, NOW + 55 * HOUR],
    ["dated back: from now", { notBefore: NOW - 10_000, notAfter: NOW + 10_000 }, mid, undefined, NOW + 5_000],
    ["begins in our future", { notBefore: NOW + HOUR, notAfter: NOW + 3 * HOUR }, mid, undefined, NOW + HOUR],
    ["ended in our past", { notBefore: NOW - 3 * HOUR, notAfter: NOW - HOUR }, mid, undefined, NOW - 2 * HOUR],
    ["never without a pause", { notBefore: NOW - HOUR, notAfter: NOW + 500 }, mid, undefined, NOW + 1_000],
    ["availability target", { notBefore: NOW, notAfter: NOW + 72 * HOUR }, mid, 48 * HOUR, NOW + 24 * HOUR - 300_000],
    ["target later than half", { notBefore: NOW, notAfter: NOW + 72 * HOUR }, mid, 24 * HOUR, NOW + 36 * HOUR],
    ["too little grace", { notBefore: NOW, notAfter: NOW + 36 * HOUR }, mid, 24 * HOUR, NOW + 18 * HOUR],
  ])("%s", (_name, life, random, target, expected) => {
    expect(renewalTime(life, NOW, random, target === undefined ? {} : { availabilityTargetMs: target })).toBe(expected);
  });
});

describe("renewalTime with an outage budget", () => {
  const MINUTE = 60_000;
  const DAY = 24 * HOUR;
  const budget = 2 * HOUR;

  /** The least life left at a renewal, whatever the dice say. */
  function leastLeft(ttl: number, outageBudgetMs: number): number {
    const life = { notBefore: NOW, notAfter: NOW + ttl };
    const left = [0, 0.25, 0.5, 0.75, 0.999_999].map(
      (dice) => life.notAfter - renewalTime(life, NOW, () => dice, { outageBudgetMs }),
    );
    return Math.min(...left);
  }

  test.each([
    // lifetime, least life left, is the budget kept
    ["1 minute", MINUTE, 27_000, false],
    ["5 minutes", 5 * MINUTE, 135_000, false],
    ["1 hour, SPIRE's own", HOUR, 27 * MINUTE, false],
    ["2 hours, the budget", 2 * HOUR, 54 * MINUTE, false],
    ["a moment more than the budget", 2 * HOUR + MINUTE, 0.9 * (2 * HOUR + MINUTE), false],
    ["2 hours 15 minutes", 2.25 * HOUR, 0.9 * 2.25 * HOUR, true],
    ["3 hours", 3 * HOUR, 2 * HOUR + 0.02 * 3 * HOUR, true],
    ["4 hours", 4 * HOUR, 2 * HOUR + 0.02 * 4 * HOUR, true],
    ["6 hours, our own", 6 * HOUR, 2.7 * HOUR, true],
    ["24 hours", DAY, 0.45 * DAY, true],
    ["7 days", 7 * DAY, 0.45 * 7 * DAY, true],
    ["30 days", 30 * DAY, 0.45 * 30 * DAY, true],
  ])("%s", (_name, ttl, least, isKept) => {
    const left = leastLeft(ttl, budget);
    expect(Math.abs(left - least)).toBeLessThan(ttl * 1e-5 + 1);
    expect(left >= budget).toBe(isKept);
    expect(Math.abs(coverKept(ttl, budget) - left)).toBeLessThan(ttl * 1e-5 + 1);
    expect(coverShortfall(ttl, budget) === 0).toBe(isKept);
  });

  test("keeps what any lifetime of a minute to 30 days allows, and never renews in the first tenth of one", () => {
    for (let ttl = MINUTE; ttl <= 30 * DAY; ttl = Math.ceil(ttl * 1.07)) {
      for (const wanted of [0, MINUTE, HOUR, 2 * HOUR, DAY]) {
        const left = leastLeft(ttl, wanted);
        expect(left).toBeLessThanOrEqual(0.9 * ttl + 1);
        expect(left).toBeGreaterThanOrEqual(Math.floor(0.45 * ttl) - 1);
        if (0.9 * ttl >= wanted) expect(left).toBeGreaterThanOrEqual(wanted);
      }
    }
  });

  test("the lifetime that is named as enough keeps the budget also at agents that renew at half of it", () => {
    for (const wanted of [MINUTE, 90 * MINUTE, 2 * HOUR, DAY]) {
      const ttl = ttlThatCovers(wanted);
      expect(leastLeft(ttl, 0)).toBeGreaterThanOrEqual(wanted);
      expect(leastLeft(ttl - 2 * MINUTE, 0)).toBeLessThan(wanted);
    }
    expect(ttlThatCovers(2 * HOUR)).toBe(267 * MINUTE);
  });

  test("0 is off", () => expect(leastLeft(3 * HOUR, 0)).toBeCloseTo(1.35 * HOUR, -2));
});

describe("retryDelay", () => {
  const away = new AgentError("UNAVAILABLE", "away");
  test.each([
    ["server away, first", away, 1, 500],
    ["server away, later: never more than five seconds", away, 50, 2_500],
    ["a deadline counts as away", new AgentError("DEADLINE_EXCEEDED", "late"), 50, 2_500],
    ["a stranger answered", new AgentError("UNTRUSTED", "who?"), 50, 2_500],
    ["refused", new AgentError("PERMISSION_DENIED", "no", { recovery: "reattest" }), 1, 5_000],
    ["refused for long", new AgentError("PERMISSION_DENIED", "no", { recovery: "stop-serving" }), 50, 60_000],
    ["another error", new AgentError("INTERNAL", "oh"), 1, 5_000],
    ["another error for long: four minutes", new AgentError("INTERNAL", "oh"), 50, 240_000],
    ["a bug", new Error("bug"), 2, 7_500],
  ])("%s", (_name, error, failures, expected) => {
    expect(retryDelay(error, failures, 5_000, mid)).toBe(expected);
  });

  test("the server's hint is a minimum, and spread", () => {
    const busy = new ServerCallError("RESOURCE_EXHAUSTED", "busy", { retryAfterMs: 20_000 });
    expect(retryDelay(busy, 1, 5_000, mid)).toBe(30_000);
    expect(retryDelay(new AgentError("INTERNAL", "wrapped", { cause: busy }), 1, 5_000, mid)).toBe(5_000);
  });

  test("only failures on the way are worth another connection", () => {
    expect(isDisconnected(away)).toBe(true);
    expect(isDisconnected(new AgentError("PERMISSION_DENIED", "no"))).toBe(false);
    expect(isDisconnected(new Error("bug"))).toBe(false);
  });
});

describe("Wakeup", () => {
  const { signal } = new AbortController();

  test("ends after its time, or when woken", async () => {
    const wakeup = new Wakeup(systemClock);
    expect(await wakeup.wait(1, signal)).toBe(false);
    const woken = wakeup.wait(3_600_000, signal);
    wakeup.wake();
    expect(await woken).toBe(true);
  });

  test("a wake while nobody waits ends the next wait, once", async () => {
    const wakeup = new Wakeup(systemClock);
    wakeup.wake();
    wakeup.wake();
    expect(await wakeup.wait(3_600_000, signal)).toBe(true);
    expect(await wakeup.wait(1, signal)).toBe(false);
  });

  test("an abort ends it with the reason", async () => {
    const clock = new FakeClock();
    const controller = new AbortController();
    const waiting = new Wakeup(clock).wait(1_000, controller.signal);
    await clock.parked(1);
    controller.abort(new Error("stop"));
    await expect(waiting).rejects.toThrow("stop");
  });
});
