import { expect, test } from "vitest";
import { FairTurns } from "../../src/workload-api/fair-turns.ts";
import { FakeClock } from "../fakes/fake-clock.ts";

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function setup() {
  const clock = new FakeClock();
  const turns = new FairTurns(clock);
  const begun: number[] = [];
  const ask = (uid: number, count = 1): void => {
    for (let index = 0; index < count; index++) turns.run(uid, () => begun.push(uid));
  };
  const count = (uid: number): number => begun.filter((one) => one === uid).length;
  return { clock, turns, begun, ask, count };
}

test("a little begins at once, more waits for later turns, in order", async () => {
  const { begun, ask } = setup();
  ask(1, 40);
  expect(begun).toHaveLength(16);
  await nextTurn();
  expect(begun).toHaveLength(32);
  await nextTurn();
  expect(begun).toHaveLength(40);
});

test("a user with thousands waiting delays no other one", async () => {
  const { begun, ask, count } = setup();
  ask(1, 5_000);
  ask(2, 16);
  expect(count(2)).toBe(16);
  ask(2, 16);
  await nextTurn();
  expect(count(2)).toBe(24);
  expect(count(1)).toBe(24);
  await nextTurn();
  expect(count(2)).toBe(32);
  expect(begun.length).toBeLessThan(100);
});

test("a user has its little again in the next moment", async () => {
  const { clock, begun, ask } = setup();
  ask(1, 16);
  ask(1);
  expect(begun).toHaveLength(16);
  await nextTurn();
  await clock.advance(50);
  ask(1, 16);
  expect(begun).toHaveLength(33);
});

test("while connections come in one after the other, what waits gives way; in the end all had its turn", async () => {
  const { turns, begun, ask } = setup();
  ask(1, 400);
  for (let turn = 0; turn < 64; turn++) {
    turns.hurry();
    await nextTurn();
  }
  const before = begun.length;
  expect(before).toBe(16 + 64 * 4);
  for (let turn = 0; turn < 40; turn++) {
    turns.hurry();
    await nextTurn();
  }
  expect(begun.length - before).toBe(10);
  for (let turn = 0; turn < 20; turn++) await nextTurn();
  expect(begun).toHaveLength(400);
});

/** Work that takes so many milliseconds each. */
function slow(ms: number) {
  let now = 0;
  const clock = Object.assign(new FakeClock(), { monotonic: () => now });
  const turns = new FairTurns(clock);
  const begun: number[] = [];
  const ask = (uid: number, count: number): void => {
    for (let index = 0; index < count; index++) {
      turns.run(uid, () => {
        begun.push(uid);
        now += ms;
      });
    }
  };
  return { begun, ask };
}

test("work that takes long counts as more of the little that begins at once", () => {
  const { begun, ask } = slow(5);
  ask(1, 10);
  expect(begun).toEqual([1, 1, 1, 1]);
  ask(2, 1);
  expect(begun).toEqual([1, 1, 1, 1, 2]);
});

test("a turn of those who wait ends when it has taken long", async () => {
  const { begun, ask } = slow(3);
  ask(1, 20);
  const before = begun.length;
  await nextTurn();
  expect(begun.length - before).toBe(2);
  await nextTurn();
  expect(begun.length - before).toBe(4);
  for (let turn = 0; turn < 20; turn++) await nextTurn();
  expect(begun).toHaveLength(20);
});
