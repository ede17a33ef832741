import { expect, test } from "vitest";
import { systemClock } from "../../src/lib/clock.ts";

test("sleep rejects with the reason of the abort, before and while sleeping", async () => {
  const gone = AbortSignal.abort(new Error("gone"));
  await expect(systemClock.sleep(1, gone)).rejects.toThrow("gone");
  const controller = new AbortController();
  const sleeping = systemClock.sleep(2 ** 40, controller.signal);
  controller.abort(new Error("enough"));
  await expect(sleeping).rejects.toThrow("enough");
});

test("a sleep past the longest timer does not end at once", async () => {
  const controller = new AbortController();
  const outcome = await Promise.race([
    systemClock.sleep(2 ** 31, controller.signal).then(() => "ended"),
    systemClock.sleep(20, controller.signal).then(() => "still asleep"),
  ]);
  controller.abort();
  expect(outcome).toBe("still asleep");
});

test("after calls back once, and not when it was taken back", async () => {
  const calls: string[] = [];
  const cancel = systemClock.after(1, () => calls.push("taken back"));
  cancel();
  await new Promise<void>((resolve) => {
    systemClock.after(2, () => {
      calls.push("called");
      resolve();
    });
  });
  expect(calls).toEqual(["called"]);
});
