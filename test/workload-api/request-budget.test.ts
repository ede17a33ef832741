import { expect, test } from "vitest";
import { RequestBudget } from "../../src/workload-api/request-budget.ts";

test("a user has a bound, all have one, and what is released can be held again", () => {
  const budget = new RequestBudget({ maxUnfinished: 150, maxUnfinishedPerUid: 100 });
  const [one, same, other] = [budget.of(1), budget.of(1), budget.of(2)];
  expect([one.hold(60), same.hold(60), same.hold(40)]).toEqual([true, false, true]);
  expect([other.hold(51), other.hold(50), budget.held]).toEqual([false, true, 150]);
  one.release(60);
  expect([other.hold(50), same.hold(10), budget.held]).toEqual([true, true, 150]);
  same.release(50);
  other.release(100);
  expect([budget.held, one.hold(100)]).toEqual([0, true]);
});
