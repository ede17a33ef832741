import { expect, test } from "vitest";
import type { LogFields, Logger } from "../../src/lib/log.ts";
import { NewsLogger } from "../../src/lib/news-logger.ts";
import { FakeClock } from "../fakes/fake-clock.ts";

function setup() {
  const lines: string[] = [];
  const add =
    (level: string) =>
    (message: string, fields: LogFields = {}): void =>
      void lines.push(`${level} ${message} ${Object.values(fields).join(" ")}`.trim());
  const inner: Logger = {
    error: add("error"),
    warn: add("warn"),
    info: add("info"),
    debug: add("debug"),
    trace: add("trace"),
    named: () => inner,
  };
  const clock = new FakeClock();
  return { lines, clock, log: new NewsLogger(inner, clock) };
}

test("a line is told once an hour, another one at once", async () => {
  const { lines, clock, log } = setup();
  for (let round = 0; round < 3; round++) {
    log.warn("a", { id: 1n });
    log.warn("a", { id: 2n });
    log.error("b");
    log.info("c");
    log.debug("d");
    log.trace("e");
  }
  expect(lines).toEqual(["warn a 1", "warn a 2", "error b", "info c", "debug d", "trace e"]);
  await clock.advance(3_600_000);
  log.warn("a", { id: 1n });
  expect(lines).toHaveLength(7);
});

test("not without end: that more is left out is said", async () => {
  const { lines, clock, log } = setup();
  const named = log.named("x");
  for (let id = 0; id < 5_000; id++) named.warn("a", { id });
  expect(lines).toHaveLength(1_001);
  expect(lines.at(-1)).toBe("warn Further lines of this kind are left out for up to an hour");
  await clock.advance(3_600_000);
  named.warn("a", { id: 1 });
  expect(lines.at(-1)).toBe("warn a 1");
});
