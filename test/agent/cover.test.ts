/** How long SVIDs outlast the server, and what is said where that is too short. */
import { expect, test } from "vitest";
import { CoverWatch, coverOf } from "../../src/agent/cover.ts";
import { AgentHealth } from "../../src/agent/health.ts";
import type { Lifetime } from "../../src/spiffe/rotation.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { RecordingLogger } from "./harness.ts";

const HOUR = 3_600_000;
const BUDGET = 2 * HOUR;

const life = (ttl: number, age = 0): Lifetime => ({ notBefore: -age, notAfter: ttl - age });

test.each([
  ["nothing held", [], { short: 0 }],
  ["all is well", [life(6 * HOUR, HOUR), life(24 * HOUR)], { least: 5 * HOUR, kept: 2.7 * HOUR, short: 0 }],
  ["one is too short", [life(6 * HOUR), life(HOUR)], { least: HOUR, kept: 0.45 * HOUR, short: 1 }],
  ["one has expired", [life(6 * HOUR, 7 * HOUR)], { least: 0, kept: 2.7 * HOUR, short: 0 }],
])("%s", (_name, lives, expected) => {
  expect(coverOf(lives, 0, BUDGET)).toEqual(expected);
});

test("it is said once, kept in health while it lasts, and gone when it is over", async () => {
  const clock = new FakeClock();
  const log = new RecordingLogger();
  const health = new AgentHealth(clock, log);
  let lives = [life(HOUR), life(6 * HOUR)];
  const watch = new CoverWatch({ clock, log, health, lives: () => lives, budgetMs: BUDGET });
  const stop = new AbortController();
  const run = watch.run(stop.signal).catch(() => {});
  const problem = () => health.facts.value.problems.get("outage_cover");
  await clock.parked(1);
  expect(problem()).toBe(
    "1 SVIDs live too short for outage_budget (2h): as little as 27m is left before they are renewed, 1h33m too little",
  );
  lives = [life(0.5 * HOUR), life(HOUR)];
  await clock.advance(60_000);
  expect(problem()).toContain("2 SVIDs live too short");
  expect(log.lines.filter(({ level }) => level === "warn")).toHaveLength(1);
  lives = [life(6 * HOUR)];
  await clock.advance(60_000);
  expect(problem()).toBeUndefined();
  stop.abort();
  await run;
});

test("without a budget nothing is short", () => {
  expect(coverOf([life(60_000)], 0, 0)).toEqual({ least: 60_000, kept: 27_000, short: 0 });
});
