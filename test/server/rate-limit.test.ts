import { describe, expect, test } from "vitest";
import { methodLimits } from "../../src/server/method-limits.ts";
import { limitKey, RateLimiter, type RateLimitOptions } from "../../src/server/rate-limit.ts";
import { ManualClock } from "../fakes/manual-clock.ts";

const NEVER = new AbortController().signal;

function limiter(options: RateLimitOptions) {
  const clock = new ManualClock();
  const limits = new RateLimiter(clock, options);
  /** Takes and says when it was let through, in milliseconds from the start. */
  const take = async (address: string, cost = 1, timeLeft = Infinity, signal = NEVER): Promise<number> => {
    await limits.take(address, cost, timeLeft, signal);
    return clock.monotonic();
  };
  return { clock, limits, take };
}

describe("a bucket", () => {
  test("lets a burst through at once, and what follows at the rate", async () => {
    const { clock, take } = limiter({ perSecond: 10 });
    for (let count = 0; count < 10; count++) expect(await take("a")).toBe(0);
    const later = [take("a"), take("a"), take("a", 5)];
    await clock.advance(1_000);
    expect(await Promise.all(later)).toEqual([100, 200, 700]);
    // What was not used is saved up to one burst, not more.
    await clock.advance(60_000);
    expect(await take("a", 10)).toBe(61_000);
    const next = take("a");
    await clock.advance(100);
    expect(await next).toBe(61_100);
  });

  test("belongs to one address", async () => {
    const { take } = limiter({ perSecond: 1 });
    expect(await take("a")).toBe(0);
    expect(await take("b")).toBe(0);
  });

  test("refuses more than a burst for good", async () => {
    const { take } = limiter({ perSecond: 500 });
    const refused = take("a", 501);
    await expect(refused).rejects.toMatchObject({
      code: "RESOURCE_EXHAUSTED",
      publicMessage: "rate (501) exceeds burst size (500)",
      retryAfterMs: undefined,
    });
    expect(await take("a", 500)).toBe(0);
  });

  test("refuses at once, with a hint, whom the tokens would reach too late", async () => {
    const { clock, take } = limiter({ perSecond: 1 });
    await take("a");
    const waiting = take("a", 1, 1_000);
    await expect(take("a", 1, 1_999)).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED", retryAfterMs: 2_000 });
    // The refused call has taken nothing.
    const patient = take("a", 1, 2_000);
    await clock.advance(2_000);
    expect(await Promise.all([waiting, patient])).toEqual([1_000, 2_000]);
  });

  test("keeps nobody without a deadline waiting for ever", async () => {
    const { take, clock } = limiter({ perSecond: 1, maxWaitMs: 3_000 });
    const first = [take("a"), take("a"), take("a"), take("a")];
    await expect(take("a")).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED", retryAfterMs: 4_000 });
    await clock.advance(3_000);
    expect(await Promise.all(first)).toEqual([0, 1_000, 2_000, 3_000]);
  });

  test("gives back the tokens of a caller that goes", async () => {
    const { clock, take } = limiter({ perSecond: 1 });
    await take("a");
    const controller = new AbortController();
    const gone = take("a", 1, Infinity, controller.signal);
    controller.abort(new Error("gone"));
    await expect(gone).rejects.toThrow("gone");
    const next = take("a");
    await clock.advance(1_000);
    expect(await next).toBe(1_000);
  });

  test("has room for so many waiting calls and no more", async () => {
    const { clock, take } = limiter({ perSecond: 1, maxWaiting: 2 });
    await Promise.all([take("a"), take("b"), take("c")]);
    const waiting = [take("a"), take("b")];
    await expect(take("c")).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED", retryAfterMs: 1_000 });
    await clock.advance(1_000);
    await Promise.all(waiting);
    expect(await take("c")).toBe(1_000);
  });
});

describe("addresses", () => {
  test("are remembered up to a bound; those that are quiet make room, busy ones do not", async () => {
    const { clock, limits, take } = limiter({ perSecond: 1, maxAddresses: 3 });
    await Promise.all([take("a"), take("b"), take("c")]);
    // No room: the newcomers share one bucket.
    await take("d");
    expect(limits.addresses).toBeLessThanOrEqual(4);
    await expect(take("e", 1, 0)).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED" });
    await expect(take("a", 1, 0)).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED" });
    await clock.advance(1_000);
    for (let count = 0; count < 100; count++) await take(`new-${count}`, 0);
    expect(limits.addresses).toBeLessThanOrEqual(4);
    await take("e");
    await expect(take("e", 1, 0)).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED" });
  });

  test.each([
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["::FFFF:192.0.2.1", "192.0.2.1"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:DB8:1:2::1", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["2001:0db8:0001:0002::1", "2001:db8:1:2::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["::", "0:0:0:0::/64"],
    ["1::", "1:0:0:0::/64"],
  ])("%s counts as %s", (address, key) => {
    expect(limitKey(address)).toBe(key);
  });
});

test("methods share and miss limits as SPIRE's do", () => {
  const S = "/spire.api.server.";
  const all = methodLimits(new ManualClock(), { attestation: true, signing: true });
  expect(all.get(`${S}svid.v1.SVID/BatchNewX509SVID`)).toBe(all.get(`${S}agent.v1.Agent/RenewAgent`));
  expect(all.get(`${S}svid.v1.SVID/NewJWTSVID`)).not.toBe(all.get(`${S}agent.v1.Agent/RenewAgent`));
  expect(all.get(`${S}svid.v1.SVID/NewDownstreamX509CA`)).toBe(all.get(`${S}agent.v1.Agent/RenewAgent`));
  expect(all.has("/holdfast.server.v1.Reserve/NewJWTSVIDReserve")).toBe(true);
  expect(all.size).toBe(10);
  const off = methodLimits(new ManualClock(), { attestation: false, signing: false });
  expect([...off.keys()].sort()).toEqual([
    `${S}agent.v1.Agent/PostStatus`,
    `${S}bundle.v1.Bundle/PublishJWTAuthority`,
    `${S}bundle.v1.Bundle/PublishWITAuthority`,
  ]);
});
