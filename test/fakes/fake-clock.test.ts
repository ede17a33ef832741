import { describe, expect, test } from "vitest";
import { FakeClock } from "./fake-clock.ts";

describe("FakeClock", () => {
  test("fires in order of time, each at its moment, also what is added on the way", async () => {
    const clock = new FakeClock(1_000);
    const seen: string[] = [];
    const note = (name: string) => (): void => void seen.push(`${name} ${clock.now()}`);
    clock.after(30, note("c"));
    clock.after(10, () => {
      note("a")();
      clock.after(10, note("b"));
    });
    clock.after(20, note("never"))();
    await clock.advance(25);
    expect(seen).toEqual(["a 1010", "b 1020"]);
    await clock.advance(5);
    expect(seen).toEqual(["a 1010", "b 1020", "c 1030"]);
    expect(clock.monotonic()).toBe(30);
    clock.setWall(5);
    expect([clock.now(), clock.monotonic()]).toEqual([5, 30]);
  });

  test("waits for loops that it wakes, even when they do real work between two sleeps", async () => {
    const clock = new FakeClock();
    const controller = new AbortController();
    let rounds = 0;
    const loop = (async () => {
      for (;;) {
        await clock.sleep(10, controller.signal);
        await new Promise((resolve) => {
          setTimeout(resolve, 5);
        });
        rounds++;
      }
    })();
    await clock.advance(100);
    expect(rounds).toBe(10);
    expect(clock.sleepers).toBe(1);
    controller.abort(new Error("enough"));
    await expect(loop).rejects.toThrow("enough");
    expect(clock.sleepers).toBe(0);
    await expect(clock.sleep(1, controller.signal)).rejects.toThrow("enough");
  });
});
