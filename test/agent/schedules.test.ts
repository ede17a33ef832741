/** The arithmetic of waiting: when to renew, how long to rest after a failure, and pauses that can be cut short. */
import { describe, expect, test } from "vitest";
import { renewalTime } from "../../src/agent/renewal-time.ts";
import { isDisconnected, retryDelay } from "../../src/agent/retry-delay.ts";
import { ServerCallError } from "../../src/agent/server-client-errors.ts";
import { Wakeup } from "../../src/agent/wakeup.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { AgentError } from "../../src/lib/errors.ts";
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
    expect(renewalTime(life, NOW, random, target)).toBe(expected);
  });
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
