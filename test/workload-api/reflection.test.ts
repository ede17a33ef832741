/** What one stream of reflection may ask: many at once, then ten a second, so that nobody keeps the agent busy with it. */
import { expect, test } from "vitest";
import { ServerReflectionRequest } from "../../src/gen/grpc/reflection/v1/reflection.ts";
import type { Call } from "../../src/lib/rpc/transport.ts";
import { FairTurns } from "../../src/workload-api/fair-turns.ts";
import { reflectionMethods } from "../../src/workload-api/reflection.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { until } from "../lib/rpc/harness.ts";

const LIST = ServerReflectionRequest.encode({
  host: "",
  messageRequest: { $case: "listServices", value: "" },
}).finish();

function open(clock: FakeClock, turns: FairTurns) {
  const call = {
    peer: { uid: 7 },
    method: "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    sent: 0,
    ended: undefined as number | undefined,
    onCancel: null as (() => void) | null,
    send: () => {
      call.sent++;
      return true;
    },
    end: (code = 0) => {
      call.ended = code;
    },
  };
  const [[, method]] = reflectionMethods<{ uid: number }>({ clock, turns }, ["a.B"], new Map()) as [
    [string, ReturnType<typeof reflectionMethods<{ uid: number }>>[0][1]],
  ];
  if (method.kind !== "bidi") throw new Error("reflection is a conversation");
  return { call, handler: method.open(call as unknown as Call<{ uid: number }>) };
}

test("fifty requests are answered at once, further ones wait", async () => {
  const clock = new FakeClock();
  const { call, handler } = open(clock, new FairTurns(clock));
  const asking = (async () => {
    for (let index = 0; index < 52; index++) await handler.message(LIST);
    handler.end();
  })();
  await until(() => clock.sleepers === 1);
  expect(call.sent).toBe(50);
  await clock.advance(100);
  await until(() => clock.sleepers === 1);
  expect(call.sent).toBe(51);
  await clock.advance(100);
  await asking;
  await until(() => call.ended === 0);
  expect(call.sent).toBe(52);
});

test("a request waits for its user's turn", async () => {
  const clock = new FakeClock();
  const waiting: (() => void)[] = [];
  class Held extends FairTurns {
    override run(uid: number, work: () => void): void {
      expect(uid).toBe(7);
      waiting.push(work);
    }
  }
  const { call, handler } = open(clock, new Held(clock));
  await handler.message(LIST);
  await until(() => waiting.length === 1);
  expect(call.sent).toBe(0);
  waiting[0]?.();
  await until(() => call.sent === 1);
  call.onCancel?.();
});
