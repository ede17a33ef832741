/** The bench's arithmetic. */
import { describe, expect, test } from "vitest";
import { cpuOfStat, residentOfStatus, statFields } from "../../bench/lib/process-cost.ts";
import { median, medians, quantile, summarize } from "../../bench/lib/statistics.ts";

describe("medians", () => {
  test.each([
    [[3], 3],
    [[3, 1], 2],
    [[9, 1, 5], 5],
    [[10, 9, 2, 1], 5.5],
  ])("median of %j is %d", (values, expected) => {
    expect(median(values)).toBe(expected);
  });

  test("of nothing there is none", () => {
    expect(median([])).toBeNaN();
    expect(quantile([], 0.5)).toBeNaN();
  });

  test("of rounds are taken key by key, also where a round lacks one", () => {
    expect(medians([{ a: 1, b: 4 }, { a: 3 }, { a: 2, b: 8 }])).toEqual({ a: 2, b: 6 });
  });
});

describe("quantiles", () => {
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);

  test.each([
    [0, 1],
    [0.5, 50],
    [0.99, 99],
    [1, 100],
  ])("the %d quantile of 1..100 is %d", (q, expected) => {
    expect(quantile(hundred, q)).toBe(expected);
  });

  test("of two values, p99 is the larger", () => {
    expect(summarize([7, 3])).toEqual({ count: 2, p50: 3, p99: 7, max: 7 });
  });

  test("values are compared as numbers", () => {
    expect(quantile([10, 9, 100], 1)).toBe(100);
  });
});

describe("/proc", () => {
  const STAT =
    "4242 (a ) b (c) S 1 4242 4242 0 -1 4194560 900 20 3 0 150 50 7 3 20 0 11 0 100 200 300 18446744073709551615";

  test("a program's name may hold spaces and brackets", () => {
    expect(statFields(STAT)[0]).toBe("S");
  });

  test("processor time is user and system, with the children that were waited for", () => {
    expect(cpuOfStat(STAT)).toBe((150 + 50 + 7 + 3) * 10_000);
  });

  test("resident memory is given in bytes", () => {
    expect(residentOfStatus("Name:\tx\nVmHWM:\t  900 kB\nVmRSS:\t  512 kB\n")).toBe(512 * 1024);
    expect(residentOfStatus("Name:\tzombie\n")).toBe(0);
  });
});
