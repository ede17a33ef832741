/** Whose calls are answered when. */
import { expect, test } from "vitest";
import { AnswerTurns } from "../../src/workload-api/answer-turns.ts";
import { FakeClock } from "../fakes/fake-clock.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Answers take as long as the test says. */
function setUp() {
  let now = 0;
  const clock = Object.assign(new FakeClock(), { monotonic: () => now });
  const turns = new AnswerTurns(clock);
  const given: string[] = [];
  const ask = (uid: number, name: string, ms: number): void =>
    turns.run(uid, (isLate) => {
      now += ms;
      given.push(isLate ? `${name}, late` : name);
    });
  const wait = (ms: number): void => {
    now += ms;
  };
  return { ask, given, wait };
}

test("a few are answered at once, and those of another user whatever the first one wants", async () => {
  const { ask, given } = setUp();
  for (let index = 0; index < 8; index++) ask(1, `a${index}`, 1);
  ask(2, "b", 1);
  expect(given).toEqual(["a0", "a1", "a2", "a3", "b"]);
  await turn();
  expect(given.slice(5)).toEqual(["a4, late", "a5, late", "a6, late", "a7, late"]);
});

test("what waits is answered in order, users in turn, a few milliseconds at a time", async () => {
  const { ask, given } = setUp();
  for (let index = 0; index < 8; index++) ask(1, `a${index}`, 4);
  for (let index = 0; index < 3; index++) ask(2, `b${index}`, 4);
  expect(given).toEqual(["a0", "b0"]);
  await turn();
  expect(given.slice(2)).toEqual(["a1, late"]);
  await turn();
  await turn();
  await turn();
  expect(given.slice(3)).toEqual(["b1, late", "a2, late", "b2, late"]);
  for (let count = 0; count < 5; count++) await turn();
  expect(given.slice(6)).toEqual(["a3, late", "a4, late", "a5, late", "a6, late", "a7, late"]);
});

test("a user who had much is answered at once again after a while", async () => {
  const { ask, given, wait } = setUp();
  ask(1, "a", 20);
  ask(1, "b", 1);
  await turn();
  wait(50);
  ask(1, "c", 1);
  expect(given).toEqual(["a", "b, late", "c"]);
});
