import { expect, test } from "vitest";
import { LogShare } from "../../src/lib/log-share.ts";
import { FakeClock } from "../fakes/fake-clock.ts";

function setup() {
  const clock = new FakeClock();
  const lines: string[] = [];
  const share = new LogShare<number>(clock);
  const say = (key: number): void =>
    share.pass(key, ({ suppressed }) => lines.push(`${key} ${suppressed ?? ""}`.trim()));
  return { clock, lines, say };
}

test("so many lines a minute for each; those left out are counted in the next one", async () => {
  const { clock, lines, say } = setup();
  for (let line = 0; line < 100; line++) say(1);
  say(2);
  expect(lines).toEqual([...Array.from({ length: 30 }, () => "1"), "2"]);
  await clock.advance(60_000);
  say(1);
  say(1);
  say(2);
  expect(lines.slice(31)).toEqual(["1 70", "1", "2"]);
});

test("thousands of keys do not make thousands of lines, and are forgotten", async () => {
  const { clock, lines, say } = setup();
  for (let key = 0; key < 10_000; key++) say(key);
  expect(lines).toHaveLength(256);
  await clock.advance(60_000);
  say(9_999);
  expect(lines.at(-1)).toBe("9999");
});
