import { describe, expect, test } from "vitest";
import { CallPools, DEFAULT_CALL_LIMITS } from "../../src/server/call-pools.ts";
import type { Caller } from "../../src/server/caller.ts";
import { LogGate } from "../../src/server/log-gate.ts";
import { id } from "../fakes/entries.ts";
import { ManualClock } from "../fakes/manual-clock.ts";

const stranger = (address: string): Caller => ({ kind: "tls", address, port: 1 });
const AGENT = {
  kind: "tls",
  address: "192.0.2.1",
  port: 1,
  svid: { spiffeId: id("/spire/agent/a/b"), serial: "1", notAfter: 0 },
} as const satisfies Caller;
const CALL = "/spire.api.server.agent.v1.Agent/PostStatus";
const WATCH = "/holdfast.server.v1.Watch/WatchAuthorized";

describe("pools", () => {
  test("do not take from each other", () => {
    const pools = new CallPools({
      local: 1,
      identified: 1,
      watching: 1,
      identifiedPerId: 2,
      anonymous: 1,
      anonymousPerAddress: 2,
    });
    const callers = [
      [CALL, { kind: "local" }],
      [CALL, AGENT],
      [WATCH, AGENT],
      [CALL, stranger("a")],
    ] as const;
    const leaves = callers.map(([method, caller]) => pools.enter(method, caller));
    for (const leave of leaves) expect(leave).toBeDefined();
    for (const [method, caller] of callers) expect(pools.enter(method, caller)).toBeUndefined();
    expect(pools.running).toBe(4);
    for (const leave of leaves) leave?.();
    expect(pools.running).toBe(0);
    for (const [method, caller] of callers) expect(pools.enter(method, caller)).toBeDefined();
  });

  test("leave room for the strangers of other addresses", () => {
    const pools = new CallPools({ ...DEFAULT_CALL_LIMITS, anonymous: 5, anonymousPerAddress: 2 });
    const first = pools.enter(CALL, stranger("2001:db8::1"));
    expect(pools.enter(CALL, stranger("2001:db8::2"))).toBeDefined();
    expect(pools.enter(CALL, stranger("2001:db8::3"))).toBeUndefined();
    expect(pools.enter(CALL, stranger("192.0.2.1"))).toBeDefined();
    first?.();
    expect(pools.enter(CALL, stranger("2001:db8::3"))).toBeDefined();
    expect(pools.running).toBe(3);
  });
});

test("one identity leaves room for the others, on however many connections it comes", () => {
  const pools = new CallPools({ ...DEFAULT_CALL_LIMITS, identified: 5, identifiedPerId: 2 });
  const other: Caller = { ...AGENT, svid: { ...AGENT.svid, spiffeId: id("/workload") } };
  const first = pools.enter(CALL, AGENT);
  expect(pools.enter(CALL, { ...AGENT, address: "192.0.2.2" })).toBeDefined();
  expect(pools.enter(CALL, { ...AGENT, address: "192.0.2.3" })).toBeUndefined();
  expect(pools.enter(CALL, other)).toBeDefined();
  expect(pools.enter(WATCH, AGENT)).toBeDefined();
  first?.();
  expect(pools.enter(CALL, AGENT)).toBeDefined();
  expect(pools.running).toBe(4);
});

test("a log gate lets so many lines a minute through, and says how many it did not", async () => {
  const clock = new ManualClock();
  const gate = new LogGate(clock);
  const written: object[] = [];
  for (let count = 0; count < 100; count++) gate.pass((suppressed) => void written.push(suppressed));
  expect(written).toEqual(Array.from({ length: 60 }, () => ({})));
  await clock.advance(60_000);
  gate.pass((suppressed) => void written.push(suppressed));
  gate.pass((suppressed) => void written.push(suppressed));
  expect(written.slice(60)).toEqual([{ suppressed: 40 }, {}]);
});
