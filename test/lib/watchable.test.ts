import { expect, test } from "vitest";
import { WatchableValue } from "../../src/lib/watchable.ts";

test("a slow reader skips to the newest value", async () => {
  const cell = new WatchableValue(1);
  const controller = new AbortController();
  const seen: number[] = [];
  const reading = (async () => {
    for await (const value of cell.watch(controller.signal)) {
      seen.push(value);
      if (value === 1) {
        cell.set(2);
        cell.set(3);
      }
      if (value === 3) return;
    }
  })();
  await reading;
  expect(seen).toEqual([1, 3]);
  expect(cell.readers).toBe(0);
});

test("watch ends when the signal aborts, also while it waits", async () => {
  const cell = new WatchableValue("x");
  const controller = new AbortController();
  const iterator = cell.watch(controller.signal)[Symbol.asyncIterator]();
  expect((await iterator.next()).value).toBe("x");
  const waiting = iterator.next();
  controller.abort();
  expect((await waiting).done).toBe(true);
  expect(cell.readers).toBe(0);
});

test("watch ends when the cell closes, after the newest value was seen", async () => {
  const cell = new WatchableValue("x");
  const iterator = cell.watch(new AbortController().signal)[Symbol.asyncIterator]();
  await iterator.next();
  cell.set("y");
  cell.close();
  expect((await iterator.next()).value).toBe("y");
  expect((await iterator.next()).done).toBe(true);
});

test("a listener may unsubscribe another one while values go out", () => {
  const cell = new WatchableValue(0);
  const seen: string[] = [];
  const off = cell.subscribe((value) => {
    seen.push(`a${value}`);
    offSecond();
  });
  const offSecond = cell.subscribe((value) => seen.push(`b${value}`));
  cell.set(1);
  off();
  cell.set(2);
  expect(seen).toEqual(["a1", "b1"]);
});
