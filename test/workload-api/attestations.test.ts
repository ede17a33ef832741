import { expect, test } from "vitest";
import { systemClock } from "../../src/lib/clock.ts";
import type { Watchable } from "../../src/lib/watchable.ts";
import { AnswerTurns } from "../../src/workload-api/answer-turns.ts";
import { Attestations, type Attestee } from "../../src/workload-api/attestations.ts";
import { Later } from "../../src/workload-api/later.ts";
import type { ConnectedPeer } from "../../src/workload-api/peer.ts";
import type { IdentitySource, WorkloadUpdate } from "../../src/workload-api/ports.ts";
import { until } from "../lib/rpc/harness.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Attestations end when the test says so. */
function setUp() {
  const asked: { readonly signal: AbortSignal; end(error?: Error): void }[] = [];
  const rests: ConnectedPeer[] = [];
  const source: Pick<IdentitySource<ConnectedPeer>, "attest" | "subscribe"> = {
    attest: (_peer, signal) =>
      new Promise((resolve, reject) => {
        asked.push({ signal, end: (error) => (error === undefined ? resolve([]) : reject(error)) });
      }),
    subscribe: () => ({}) as Watchable<WorkloadUpdate>,
  };
  const peer = (): ConnectedPeer => {
    const made = { rest: () => rests.push(made) } as unknown as ConnectedPeer;
    return made;
  };
  return { asked, rests, peer, attestations: new Attestations(source, new AnswerTurns(systemClock)) };
}

class Heard implements Attestee {
  readonly words: string[] = [];
  attested(): void {
    this.words.push("attested");
  }
  failed(error: unknown): void {
    this.words.push(String(error));
  }
}

test("calls of one turn share an attestation, which begins after they came; other connections have their own", async () => {
  const { asked, rests, peer, attestations } = setUp();
  const [one, other] = [peer(), peer()];
  const calls = [new Heard(), new Heard(), new Heard()];
  attestations.join(one, calls[0] as Heard);
  attestations.join(one, calls[1] as Heard);
  attestations.join(other, calls[2] as Heard);
  expect(asked).toHaveLength(0);
  await turn();
  expect(asked).toHaveLength(2);
  asked[0]?.end();
  await turn();
  expect(calls.map(({ words }) => words)).toEqual([["attested"], ["attested"], []]);
  expect(rests).toEqual([one]);
  asked[1]?.end(new Error("no"));
  await turn();
  expect(calls[2]?.words).toEqual(["Error: no"]);
  expect(rests).toEqual([one, other]);
});

test("a call that comes while its connection is being attested is attested anew", async () => {
  const { asked, peer, attestations } = setUp();
  const one = peer();
  const [early, late] = [new Heard(), new Heard()];
  attestations.join(one, early);
  await turn();
  attestations.join(one, late);
  asked[0]?.end();
  await turn();
  expect([early.words, late.words, asked.length]).toEqual([["attested"], [], 2]);
  asked[1]?.end();
  await turn();
  expect(late.words).toEqual(["attested"]);
});

test("an attestation is given up when all its calls have left, and none begins for calls that left before", async () => {
  const { asked, rests, peer, attestations } = setUp();
  const one = peer();
  const [first, second] = [new Heard(), new Heard()];
  const leave = [attestations.join(one, first), attestations.join(one, second)];
  await turn();
  leave[0]?.();
  leave[0]?.();
  expect(asked[0]?.signal.aborted).toBe(false);
  leave[1]?.();
  expect(asked[0]?.signal.aborted).toBe(true);
  asked[0]?.end(new Error("given up"));
  await turn();
  expect([first.words, second.words]).toEqual([[], []]);
  attestations.join(one, first)();
  await turn();
  expect([asked.length, rests.length]).toEqual([1, 2]);
});

test("later: once each, not for those who left, and at once for those whom there is no room for", async () => {
  const done: number[] = [];
  const later = new Later<number>(systemClock, { withinMs: 1, most: 2, work: (item) => done.push(item) });
  for (const item of [1, 2, 2, 3]) later.add(item);
  expect(done).toEqual([1]);
  later.delete(2);
  await until(() => done.length === 2);
  later.add(4);
  await until(() => done.length === 3);
  expect(done).toEqual([1, 3, 4]);
});
