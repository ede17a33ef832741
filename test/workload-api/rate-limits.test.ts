import { status as Status } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { findAgentError } from "../../src/lib/errors.ts";
import type { WorkloadCall } from "../../src/workload-api/guard.ts";
import { RateLimits } from "../../src/workload-api/rate-limits.ts";
import { ManualClock } from "../fakes/manual-clock.ts";
import { ApiHarness, FakeSource, header, identityOf, Reader, updateOf } from "./harness.ts";

const METHOD = "/SpiffeWorkloadAPI/FetchJWTSVID";
const OWN_PID = 1;

function setUp(limit: number) {
  const clock = new ManualClock();
  const limits = new RateLimits(clock, { perSecond: new Map([[METHOD, limit]]), ownPid: OWN_PID });
  const check = (cell: object, { pid = 2, method = METHOD } = {}): string => {
    try {
      limits.check({ method, peer: { pid } } as unknown as WorkloadCall, cell);
      return "ok";
    } catch (error) {
      const { code, publicMessage } = findAgentError(error) ?? {};
      return `${code} ${publicMessage}`;
    }
  };
  return { clock, check };
}

test("rate and burst are one number, for each set of selectors", async () => {
  const { clock, check } = setUp(2);
  const [a, b] = [{}, {}];
  const refused = `UNAVAILABLE rate limit exceeded for ${METHOD}`;
  expect([check(a), check(a), check(a), check(b)]).toEqual(["ok", "ok", refused, "ok"]);
  await clock.advance(500);
  expect([check(a), check(a)]).toEqual(["ok", refused]);
  await clock.advance(60_000);
  expect([check(a), check(a), check(a)]).toEqual(["ok", "ok", refused]);
});

test("other methods and the agent itself have no limit", () => {
  const { check } = setUp(1);
  const cell = {};
  for (let i = 0; i < 5; i++) {
    expect(check(cell, { pid: OWN_PID })).toBe("ok");
    expect(check(cell, { method: "/SpiffeWorkloadAPI/ValidateJWTSVID" })).toBe("ok");
  }
});

test("streams and single answers are counted after attestation", async () => {
  const source = new FakeSource();
  source.everybody.set(updateOf([identityOf("a")]));
  await using harness = await ApiHarness.open(source, { rateLimits: { FetchX509SVID: 1, FetchJWTSVID: 1 } });
  const client = harness.client();
  const stream = (): Reader<unknown> => new Reader(client.fetchX509Svid({}, header()));
  await stream().next();
  expect(await stream().end()).toBe(`${Status.UNAVAILABLE} rate limit exceeded for /SpiffeWorkloadAPI/FetchX509SVID`);
  const fetch = (): Promise<string> =>
    new Promise((resolve) => {
      client.fetchJwtsvid({ audience: ["db"], spiffeId: "" }, header(), (error) =>
        resolve(error === null ? "ok" : `${error.code} ${error.details}`),
      );
    });
  expect([await fetch(), await fetch()]).toEqual(["ok", `${Status.UNAVAILABLE} rate limit exceeded for ${METHOD}`]);
  expect(source.peers).toHaveLength(4);
  await new Reader(client.fetchX509Bundles({}, header())).next();
});
