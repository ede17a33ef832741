import { describe, expect, test } from "vitest";
import { Flights } from "../../src/agent/jwt-flights.ts";
import { Slots } from "../../src/agent/slots.ts";
import { findAgentError } from "../../src/lib/errors.ts";
import { turn } from "../../src/lib/turn.ts";
import { ManualClock } from "../fakes/manual-clock.ts";

const never = new AbortController().signal;

/** Lands when its signal aborts. */
function untilAborted(signal: AbortSignal): Promise<string> {
  return new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
}

describe("flights", () => {
  test("are bounded: where there is no room, who has most of them gives up the newest", async () => {
    const flights = new Flights<string>(new ManualClock(), 5);
    const ended: string[] = [];
    const ask = (owner: string, key: string): void => {
      flights
        .join(key, owner, never, untilAborted)
        .catch((error: unknown) => ended.push(`${key} ${findAgentError(error)?.publicMessage}`));
    };
    for (const key of ["a1", "a2", "a3"]) ask("a", key);
    for (const key of ["b1", "c1"]) ask(key.charAt(0), key);
    ask("b", "b2");
    await turn();
    expect(ended).toEqual(["a3 too many JWT-SVIDs are being signed"]);
    expect(flights.size).toBe(5);
    // Who has as many as anybody gets no more.
    ask("a", "a4");
    ask("b", "b3");
    await turn();
    expect(ended.slice(1)).toEqual([
      "a4 too many JWT-SVIDs are being signed",
      "b3 too many JWT-SVIDs are being signed",
    ]);
    // Joining needs no room, and what is done behind can wait.
    ask("d", "b1");
    flights.behind("a5", "a", untilAborted);
    await turn();
    expect([ended.length, flights.size]).toEqual([3, 5]);
    ask("d", "d1");
    await turn();
    expect([ended.length, flights.size]).toEqual([4, 5]);
  });

  test("that have landed make room", async () => {
    const flights = new Flights<string>(new ManualClock(), 2);
    for (let i = 0; i < 10; i++) expect(await flights.join(`a${i}`, "a", never, async () => "ok")).toBe("ok");
    expect(flights.size).toBe(0);
  });
});

describe("slots", () => {
  test("whoever wants much waits for itself, not the others for it", async () => {
    const slots = new Slots(2);
    const order: string[] = [];
    const finish: (() => void)[] = [];
    const use = (owner: string, name: string, signal = never): Promise<void> =>
      slots.use(
        () => {
          order.push(name);
          return new Promise((resolve) => finish.push(resolve));
        },
        signal,
        owner,
      );
    const leaver = new AbortController();
    const all = ["a1", "a2", "a3", "a4", "a5"].map((name) => use("a", name));
    const gone = use("c", "c1", leaver.signal).catch(() => "gone");
    all.push(use("b", "b1"), use("b", "b2"));
    leaver.abort(new Error("left"));
    expect(await gone).toBe("gone");
    while (order.length < 7) {
      finish.shift()?.();
      await turn();
    }
    expect(order).toEqual(["a1", "a2", "a3", "b1", "a4", "b2", "a5"]);
    for (const done of finish) done();
    await Promise.all(all);
  });
});
