import { expect, test } from "vitest";
import type { AgentData } from "../../src/agent/agent-data.ts";
import { AgentState } from "../../src/agent/agent-state.ts";
import { AgentHealth } from "../../src/agent/health.ts";
import { silentLogger } from "../../src/lib/log.ts";
import { turn } from "../../src/lib/turn.ts";
import { agentId } from "../../src/spiffe/id.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { TestCa } from "../fakes/test-ca.ts";
import { TD } from "./entries.ts";

const ca = await TestCa.create(TD);
const identities = await Promise.all(
  [1, 2].map(async () => ({ svid: await ca.svid(agentId(TD, "test", "a")), reattestable: false })),
);
const [old, young] = [identities[0]!, identities[1]!];
const otherBundle = (await TestCa.create(TD)).bundle();

function setup() {
  const clock = new FakeClock(Date.now());
  const health = new AgentHealth(clock, silentLogger);
  const saved: AgentData[] = [];
  const control = { fail: false };
  const storage = {
    load: async () => undefined,
    save: async (data: AgentData) => {
      // Slower than the one that comes after it, as a disk may be.
      for (let wait = 5 - saved.length; wait > 0; wait--) await turn();
      if (control.fail) throw new Error("disk");
      saved.push(data);
    },
  };
  const state = new AgentState({ clock, log: silentLogger, health, storage }, { identity: old, bundle: ca.bundle() });
  return { clock, health, saved, control, state };
}

test("a bundle that comes while a new identity is being stored does not bring the old one back", async () => {
  const { saved, state } = setup();
  const adopted = state.adoptStored(young);
  const refreshed = state.refresh(otherBundle);
  expect(await adopted).toBe(true);
  expect(await refreshed).toBe(true);
  expect(saved.map(({ identity }) => identity)).toEqual([young, young]);
  expect(saved.at(-1)?.bundle).toBe(otherBundle);
  expect([state.identity, state.bundle]).toEqual([young, otherBundle]);
});

test("an identity that was forgotten is not stored by a bundle that was on its way", async () => {
  const { saved, state } = setup();
  const refreshed = state.refresh(otherBundle);
  await state.forgetIdentity();
  await refreshed;
  expect(state.identity).toBeUndefined();
  expect(saved.at(-1)?.identity).toBeUndefined();
  expect(saved.at(-1)?.bundle).toBe(otherBundle);
});

test("an identity that cannot be stored is not taken over; the problem is reported and resolved", async () => {
  const { health, control, state } = setup();
  control.fail = true;
  expect(await state.adoptStored(young)).toBe(false);
  expect(state.identity).toBe(old);
  expect(health.facts.value.problems.has("storage")).toBe(true);
  control.fail = false;
  expect(await state.adoptStored(young)).toBe(true);
  expect(health.facts.value.problems.has("storage")).toBe(false);
});

test("the time of the last good moment is stored now and then, not at every sync", async () => {
  const { clock, saved, state } = setup();
  for (let minute = 0; minute < 30; minute++) {
    await state.refresh(ca.bundle());
    await clock.advance(60_000);
  }
  expect(saved.length).toBeGreaterThanOrEqual(2);
  expect(saved.length).toBeLessThanOrEqual(3);
  expect(saved.at(-1)!.lastGoodTime).toBeGreaterThan(clock.now() - 11 * 60_000);
});

test("a time that the SVID does not vouch for is not the last good moment", async () => {
  const { clock, saved, state } = setup();
  const { notBefore, notAfter } = old.svid;
  const stored = async (now: number): Promise<number | undefined> => {
    clock.setWall(now);
    await state.adoptStored(old);
    return saved.at(-1)?.lastGoodTime;
  };
  expect(await stored(notAfter + 86_400_000)).toBe(notBefore);
  expect(await stored(notBefore + 5_000)).toBe(notBefore + 5_000);
  // Neither of a clock that went back, nor of one that is ahead.
  expect(await stored(notBefore + 1_000)).toBe(notBefore + 5_000);
  expect(await stored(0)).toBe(notBefore + 5_000);
  expect(await stored(notAfter)).toBe(notBefore + 5_000);
});
