import { expect, test } from "vitest";
import { SingleFlight } from "../../src/lib/single-flight.ts";

test("equal keys share one call, later calls run anew, failures are not kept", async () => {
  const flights = new SingleFlight<string, number>();
  let runs = 0;
  const work = async (): Promise<number> => {
    runs++;
    if (runs === 2) throw new Error("second run fails");
    return runs;
  };
  expect(await Promise.all([flights.do("a", work), flights.do("a", work)])).toEqual([1, 1]);
  await expect(flights.do("a", work)).rejects.toThrow("second run fails");
  expect(await flights.do("a", work)).toBe(3);
});
