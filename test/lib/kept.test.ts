import { expect, test } from "vitest";
import { kept } from "../../src/lib/kept.ts";
import { ManualClock } from "../fakes/manual-clock.ts";

test("an answer serves until it is too old, counted from when it was asked for", async () => {
  const clock = new ManualClock();
  let made = 0;
  const get = kept(clock, 5_000, async () => ++made);
  expect([await get(), await get()]).toEqual([1, 1]);
  await clock.advance(4_999);
  expect(await get()).toBe(1);
  await clock.advance(1);
  expect(await get()).toBe(2);
});

test("all who ask meanwhile share one answer or one failure, and a failure is not kept", async () => {
  const outcomes = [Promise.withResolvers<string>(), Promise.withResolvers<string>()];
  let asked = 0;
  const get = kept(new ManualClock(), 5_000, () => outcomes[asked++]!.promise);
  const waiting = Promise.allSettled([get(), get()]);
  outcomes[0]?.reject(new Error("no"));
  expect((await waiting).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  outcomes[1]?.resolve("yes");
  expect([await get(), await get(), asked]).toEqual(["yes", "yes", 2]);
});

test("a failure that comes late does not take a newer answer away", async () => {
  const clock = new ManualClock();
  const old = Promise.withResolvers<string>();
  let asked = 0;
  const get = kept(clock, 5_000, () => (asked++ === 0 ? old.promise : Promise.resolve("new")));
  const first = get().catch(() => "failed");
  await clock.advance(5_000);
  expect(await get()).toBe("new");
  old.reject(new Error("no"));
  expect([await first, await get(), asked]).toEqual(["failed", "new", 2]);
});
