import { expect, test } from "vitest";
import { systemClock } from "../../src/lib/clock.ts";
import { PushQueue } from "../../src/workload-api/push-queue.ts";

/** Time that passes one millisecond per look. */
function tickingClock() {
  let now = 0;
  return { ...systemClock, monotonic: () => now++ };
}
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("works in slices, each item once, in order of arrival", async () => {
  const queue = new PushQueue(tickingClock());
  const pushed: number[] = [];
  const items = Array.from({ length: 12 }, (_, number) => ({ push: () => void pushed.push(number) }));
  for (const item of [...items, ...items]) queue.add(item);
  expect(pushed).toEqual([]);
  const counts: number[] = [];
  while (pushed.length < 12) {
    await turn();
    counts.push(pushed.length);
  }
  expect(pushed).toEqual(items.map((_, number) => number));
  expect(counts.length).toBeGreaterThan(1);
});

test("an item that was taken out is not told, one that adds itself again is told in its turn", async () => {
  const queue = new PushQueue(systemClock);
  let times = 0;
  const again = {
    push() {
      times++;
      if (times < 3) queue.add(again);
    },
  };
  const never = { push: () => expect.unreachable() };
  queue.add(again);
  queue.add(never);
  queue.delete(never);
  for (let turns = 0; turns < 5; turns++) await turn();
  expect(times).toBe(3);
});
