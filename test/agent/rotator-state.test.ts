/** The agent SVID's state machine, cell by cell. */
import { describe, expect, test } from "vitest";
import {
  holding,
  type RenewalFailure,
  type RotatorEffect,
  type RotatorEvent,
  type RotatorState,
  type SvidFacts,
  transition,
  wakeAt,
} from "../../src/agent/rotator-state.ts";

const NOW = 1_000_000;
const svid: SvidFacts = { renewAt: NOW + 100, notAfter: NOW + 200, reattestable: false };
const reattestable: SvidFacts = { ...svid, reattestable: true };
const fresh: SvidFacts = { renewAt: NOW + 900, notAfter: NOW + 1_800, reattestable: false };
const half = (): number => 0.5;

const step = (state: RotatorState, event: RotatorEvent, now = NOW) => transition(state, event, now, half);
const asking = (change: Partial<Extract<RotatorState, { kind: "asking" }>> = {}): RotatorState => {
  return { kind: "asking", svid, method: "renew", cause: "due", failures: 0, ...change };
};
const barred = (change: Partial<Extract<RotatorState, { kind: "barred" }>> = {}): RotatorState => {
  return { kind: "barred", svid, cause: "refused", dueAt: NOW + 50, failures: 1, ...change };
};
/** An effect as one word, for tables. */
const words = (effects: readonly RotatorEffect[]): string[] =>
  effects.map((effect) => (effect.kind === "ask" ? effect.method : effect.kind === "tell" ? effect.what : effect.kind));

describe("holding", () => {
  test("waits until it is time to renew", () => {
    expect(wakeAt(holding(svid))).toBe(svid.renewAt);
    expect(step(holding(svid), { kind: "tick" })).toEqual({ state: holding(svid), effects: [] });
  });

  test.each([
    ["renews at its time", svid, NOW + 100, "renew", "due"],
    ["attests anew if the server wants it so", reattestable, NOW + 100, "attest", "due"],
    ["an expired SVID opens no connection: only attesting is left", svid, NOW + 200, "attest", "expired"],
  ] as const)("%s", (_name, facts, now, method, cause) => {
    const { state, effects } = step(holding(facts), { kind: "tick" }, now);
    expect(effects).toEqual([{ kind: "ask", method }]);
    expect(state).toMatchObject({ kind: "asking", method, cause, svid: facts });
    expect(wakeAt(state)).toBeUndefined();
  });

  describe("a clock beyond the end of an SVID that has just come", () => {
    const ahead = fresh.notAfter + 1_000;
    const { state } = step(asking({ cause: "expired" }), { kind: "renewed", svid: fresh }, ahead);

    test("does not make it due at once, for so would be its successor", () => {
      expect(state).toEqual(holding(fresh, ahead));
      expect(words(step(state, { kind: "tick" }, ahead + 299_000).effects)).toEqual([]);
      expect(words(step(state, { kind: "tick" }, ahead + 300_000).effects)).toEqual(["attest"]);
    });

    test("and set right again, leaves it its own time of renewal", () => {
      const far = holding(fresh, fresh.notAfter + 86_400_000);
      expect(words(step(far, { kind: "tick" }, fresh.renewAt - 1).effects)).toEqual([]);
      expect(words(step(far, { kind: "tick" }, fresh.renewAt).effects)).toEqual(["renew"]);
    });
  });

  test("a rest that was planned while the clock was ahead ends when it is set right", () => {
    const due = asking({ svid: { ...svid, notAfter: NOW + 7_200_000 } });
    const { state } = step(due, { kind: "failed", failure: "error" }, NOW + 3_600_000);
    expect(words(step(state, { kind: "tick" }, NOW + 100).effects)).toEqual(["renew"]);
    const { state: out } = step(asking({ cause: "refused" }), { kind: "failed", failure: "error" }, NOW + 3_600_000);
    expect(words(step(out, { kind: "tick" }, NOW).effects)).toEqual(["attest"]);
  });

  test("a tainted authority brings the renewal forward, once", () => {
    const { state } = step(holding(svid), { kind: "tainted" });
    expect(wakeAt(state)).toBe(NOW);
    expect(step(state, { kind: "tick" }).state).toMatchObject({ kind: "asking", cause: "tainted", method: "renew" });
    const later: RotatorState = { kind: "holding", svid, dueAt: NOW + 30, failures: 1, tainted: true };
    expect(step(later, { kind: "tainted" }).state).toBe(later);
  });

  test("a refusal makes it attest at once", () => {
    const { state, effects } = step(holding(svid), { kind: "refused", recovery: "reattest" });
    expect(words(effects)).toEqual(["attest"]);
    expect(state).toMatchObject({ kind: "asking", cause: "refused", failures: 0 });
  });

  test("a ban stops serving, clears storage and tells", () => {
    const { state, effects } = step(holding(svid), { kind: "refused", recovery: "stop-serving" });
    expect(words(effects)).toEqual(["stop-serving", "forget", "banned"]);
    expect(state).toMatchObject({ kind: "barred", cause: "banned", svid: undefined });
  });

  test.each([{ kind: "accepted" }, { kind: "renewed", svid: fresh }, { kind: "failed", failure: "error" }] as const)(
    "does not mind $kind",
    (event) => {
      const state = holding(svid);
      expect(step(state, event).state).toBe(state);
    },
  );
});

describe("asking", () => {
  test.each([
    ["due", []],
    ["tainted", []],
    ["expired", ["recovered"]],
    ["refused", ["recovered"]],
    ["banned", ["recovered"]],
  ] as const)("success after %s holds the new SVID", (cause, told) => {
    const { state, effects } = step(asking({ cause }), { kind: "renewed", svid: fresh });
    expect(state).toEqual(holding(fresh));
    expect(words(effects)).toEqual(told);
  });

  test.each([
    // failure while the SVID still works: wait and try again, whatever it was
    ["renew", "due", "unreachable", "holding", "due", []],
    ["renew", "due", "error", "holding", "due", []],
    ["attest", "due", "denied", "holding", "due", []],
    ["attest", "due", "impossible", "holding", "due", []],
    ["renew", "tainted", "unreachable", "holding", "tainted", []],
    // the server's word
    ["renew", "due", "reattest", "asking", "refused", ["attest"]],
    ["renew", "due", "banned", "barred", "banned", ["stop-serving", "forget", "banned"]],
    // the server does not take the SVID any more
    ["attest", "refused", "unreachable", "barred", "refused", []],
    ["attest", "refused", "error", "barred", "refused", []],
    ["attest", "refused", "denied", "barred", "refused", ["stop-serving", "denied"]],
    ["attest", "refused", "impossible", "barred", "refused", ["cannot-reattest"]],
    ["attest", "refused", "banned", "barred", "banned", ["stop-serving", "forget", "banned"]],
    // an SVID that ran out serves on: nobody said that the node is unknown
    ["attest", "expired", "denied", "barred", "expired", ["cannot-reattest"]],
    ["attest", "expired", "impossible", "barred", "expired", ["cannot-reattest"]],
    ["attest", "expired", "unreachable", "barred", "expired", []],
    // after a ban nothing is served already
    ["attest", "banned", "denied", "barred", "banned", []],
    ["attest", "banned", "impossible", "barred", "banned", []],
    ["attest", "banned", "banned", "barred", "banned", []],
  ] as const)("%s because %s, %s: %s (%s)", (method, cause, failure, kind, next, effects) => {
    const result = step(asking({ method, cause }), { kind: "failed", failure });
    expect(words(result.effects)).toEqual(effects);
    expect(result.state.kind).toBe(kind);
    if (result.state.kind === "holding") expect(result.state.tainted).toBe(next === "tainted");
    else expect(result.state.cause).toBe(next);
  });

  test("a renewal that fails until the SVID expires goes on by attesting", () => {
    const late = NOW + 200;
    const { state } = step(asking(), { kind: "failed", failure: "unreachable" }, late);
    expect(state).toMatchObject({ kind: "barred", cause: "expired" });
    expect(words(step(state, { kind: "tick" }, late + 10_000).effects)).toEqual(["attest"]);
  });

  test.each([
    ["unreachable", 1, 500],
    ["unreachable", 10, 2_500],
    ["error", 1, 5_000],
    ["impossible", 1, 5_000],
    ["impossible", 30, 300_000],
  ] as [RenewalFailure, number, number][])("after %s number %i it rests %i ms", (failure, failures, wait) => {
    const state = asking({ cause: "refused", method: "attest", failures: failures - 1 });
    expect(wakeAt(step(state, { kind: "failed", failure }).state)).toBe(NOW + wait);
  });

  test.each([
    { kind: "tick" },
    { kind: "tainted" },
    { kind: "accepted" },
    { kind: "refused", recovery: "reattest" },
    { kind: "refused", recovery: "stop-serving" },
  ] as const)("$kind waits for the request's outcome", (event) => {
    const state = asking();
    expect(step(state, event)).toEqual({ state, effects: [] });
  });
});

describe("barred", () => {
  test("attests again when it is time, for the same reason", () => {
    expect(step(barred(), { kind: "tick" }).effects).toEqual([]);
    const { state, effects } = step(barred({ cause: "banned", failures: 4 }), { kind: "tick" }, NOW + 50);
    expect(words(effects)).toEqual(["attest"]);
    expect(state).toMatchObject({ kind: "asking", cause: "banned", failures: 4 });
  });

  test("a server that takes the SVID again ends it", () => {
    const { state, effects } = step(barred(), { kind: "accepted" });
    expect(state).toMatchObject({ kind: "holding", svid, dueAt: svid.renewAt });
    expect(words(effects)).toEqual(["recovered"]);
    // An SVID that has ended by our clock alone is due at once: the rest goes on, and grows.
    const rested = step(barred({ cause: "expired", failures: 3, dueAt: NOW + 900 }), { kind: "accepted" }, NOW + 700);
    expect(rested.state).toMatchObject({ kind: "holding", dueAt: NOW + 900, failures: 3 });
  });

  test("further refusals change nothing, a ban does", () => {
    const state = barred();
    expect(step(state, { kind: "refused", recovery: "reattest" }).state).toBe(state);
    expect(words(step(state, { kind: "refused", recovery: "stop-serving" }).effects)).toContain("stop-serving");
    const banned = barred({ cause: "banned", svid: undefined });
    expect(step(banned, { kind: "refused", recovery: "stop-serving" }).effects).toEqual([]);
    expect(step(banned, { kind: "accepted" }).state).toBe(banned);
  });

  test("no state ends the process: every failure leaves a moment to try again", () => {
    const failures = ["unreachable", "error", "reattest", "banned", "denied", "impossible"] as const;
    const causes = ["due", "tainted", "expired", "refused", "banned"] as const;
    for (const failure of failures) {
      for (const cause of causes) {
        for (const now of [NOW, NOW + 1_000]) {
          const { state } = step(asking({ cause, method: "attest" }), { kind: "failed", failure }, now);
          expect(wakeAt(state)).toBeGreaterThan(now);
        }
      }
    }
  });
});
