import { describe, expect, test } from "vitest";
import { EntryState } from "../../../src/server/entries/entry-state.ts";
import type { RegistrationEntry } from "../../../src/spiffe/entry.ts";
import { parseTrustDomain, type SpiffeId } from "../../../src/spiffe/id.ts";
import { isSubset, selectorText } from "../../../src/spiffe/selector.ts";
import { entry, id, selectors, TD } from "../../fakes/entries.ts";

const SERVER = id("/spire/server");
const NOW = 1_000_000_000_000;

/** The agent `/spire/agent/test/<name>`. */
function agent(name: string): SpiffeId {
  return id(`/spire/agent/test/${name}`);
}

function alias(entryId: string, ...texts: string[]): RegistrationEntry {
  return entry(entryId, { parentId: SERVER, selectors: selectors(...texts) });
}

function stateWith(entries: readonly RegistrationEntry[], nodes: Record<string, readonly string[]> = {}): EntryState {
  const state = new EntryState(TD, NOW);
  state.apply({
    entries: new Map(entries.map((item) => [item.entryId, item])),
    nodes: new Map(Object.entries(nodes).map(([name, texts]) => [agent(name), selectors(...texts)])),
  });
  return state;
}

function ids(state: EntryState, name: string, now = NOW): string {
  return state
    .view(agent(name), now)
    .set.entries.map((item) => item.entryId)
    .sort()
    .join(" ");
}

describe("the authorized set", () => {
  test("is what hangs below the agent, its aliases and what they authorize, without the aliases", () => {
    const state = stateWith(
      [
        entry("own", { parentId: agent("one") }),
        alias("cluster", "k8s_psat:cluster:a"),
        entry("shared", { parentId: id("/cluster") }),
        entry("nested", { parentId: id("/shared") }),
        alias("wrong", "k8s_psat:cluster:a", "k8s_psat:agent_ns:x"),
        entry("hidden", { parentId: id("/wrong") }),
        entry("other", { parentId: agent("two") }),
      ],
      { one: ["k8s_psat:cluster:a", "k8s_psat:agent_ns:y"], two: ["k8s_psat:cluster:b"] },
    );
    expect(ids(state, "one")).toBe("nested own shared");
    expect(ids(state, "two")).toBe("other");
    expect(ids(state, "three")).toBe("");
  });

  test("reaches through the entry that a join token makes", () => {
    const state = stateWith([
      entry("token", { parentId: agent("t1"), spiffeId: id("/my-agent") }),
      entry("workload", { parentId: id("/my-agent") }),
    ]);
    expect(ids(state, "t1")).toBe("token workload");
  });

  test("ends in circles, and has an entry that is reached twice once", () => {
    const state = stateWith(
      [
        entry("a", { parentId: agent("one"), spiffeId: id("/x") }),
        entry("b", { parentId: id("/x"), spiffeId: id("/y") }),
        entry("c", { parentId: id("/y"), spiffeId: id("/x") }),
        entry("self", { parentId: id("/self"), spiffeId: id("/self") }),
        alias("l1", "s:1"),
        alias("l2", "s:2"),
        entry("d1", { parentId: id("/l1"), spiffeId: id("/x") }),
        entry("d2", { parentId: id("/l2"), spiffeId: id("/x") }),
      ],
      { one: ["s:1", "s:2", "s:3"] },
    );
    expect(ids(state, "one")).toBe("a b c d1 d2");
  });

  test("leaves out what expired, and what only an expired entry authorized", () => {
    const state = stateWith(
      [
        entry("short", { parentId: agent("one"), expiresAt: NOW / 1000 + 10 }),
        entry("below", { parentId: id("/short") }),
        { ...alias("cluster", "s:1"), expiresAt: NOW / 1000 + 20 },
        entry("aliased", { parentId: id("/cluster") }),
      ],
      { one: ["s:1"] },
    );
    expect(ids(state, "one", NOW + 9_999)).toBe("aliased below short");
    expect(ids(state, "one", NOW + 10_000)).toBe("aliased");
    expect(ids(state, "one", NOW + 20_000)).toBe("");
    expect(state.nextExpiry).toBe(NOW / 1000 + 10);
    expect(state.expire(NOW + 20_000)).toEqual([{ kind: "entries", agents: new Set([agent("one")]) }]);
    expect(state.expire(NOW + 20_000)).toEqual([]);
    expect(state.nextExpiry).toBeUndefined();
  });

  test("an entry of another trust domain's server is no alias", () => {
    const foreign = entry("f", {
      parentId: "spiffe://other.org/spire/server" as SpiffeId,
      selectors: selectors("s:1"),
    });
    const state = stateWith([foreign, entry("w", { parentId: id("/f") })], { one: ["s:1"] });
    expect(ids(state, "one")).toBe("");
  });
});

describe("whom a change concerns", () => {
  test("exactly the agents above it, before and after", () => {
    const state = stateWith(
      [
        alias("left", "s:l"),
        alias("right", "s:r"),
        entry("w", { parentId: id("/left") }),
        entry("deep", { parentId: id("/w") }),
      ],
      { one: ["s:l"], two: ["s:r"], three: ["s:x"] },
    );
    const change = (item: RegistrationEntry | undefined, entryId: string): readonly SpiffeId[] =>
      state
        .apply({ entries: new Map([[entryId, item]]) })
        .flatMap((told) => [...(told.agents as Set<SpiffeId>)].sort());
    const before = ["one", "two", "three"].map((name) => state.entryRevisions.of(agent(name)));
    expect(change(entry("deep", { parentId: id("/w"), hint: "x" }), "deep")).toEqual([agent("one")]);
    expect(state.entryRevisions.of(agent("one"))).toBeGreaterThan(before[0]!);
    expect(state.entryRevisions.of(agent("two"))).toBe(before[1]);
    expect(change(entry("w", { parentId: id("/right") }), "w")).toEqual([agent("one"), agent("two")]);
    expect(ids(state, "one")).toBe("");
    expect(ids(state, "two")).toBe("deep w");
    expect(change(undefined, "right")).toEqual([agent("two")]);
    expect(ids(state, "two")).toBe("");
    expect(change(alias("right", "s:l", "s:r"), "right")).toEqual([]);
    expect(change(undefined, "nothing")).toEqual([]);
  });

  test("the node whose selectors change, but not one that merely renews", () => {
    const state = stateWith([alias("left", "s:l"), entry("w", { parentId: id("/left") })], { one: ["s:l", "s:m"] });
    const set = (...texts: string[]) => state.apply({ nodes: new Map([[agent("one"), selectors(...texts)]]) });
    expect(set("s:m", "s:l")).toEqual([]);
    expect(set("s:m")).toEqual([{ kind: "entries", agents: new Set([agent("one")]) }]);
    expect(ids(state, "one")).toBe("");
    expect(state.apply({ nodes: new Map([[agent("one"), undefined]]) })).toHaveLength(1);
    expect(state.apply({ nodes: new Map([[agent("one"), undefined]]) })).toEqual([]);
  });

  test("a bundle: all for our own, for a federated one those whose entries use it", () => {
    const other = parseTrustDomain("other.org");
    const state = stateWith([entry("w", { parentId: agent("one"), federatesWith: [other] })], { one: [], two: [] });
    const before = state.bundleRevisions.of(agent("two"));
    const entriesBefore = state.entryRevisions.of(agent("two"));
    expect(state.apply({ bundles: new Set([other]) })).toEqual([{ kind: "bundles", agents: new Set([agent("one")]) }]);
    expect(state.bundleRevisions.of(agent("two"))).toBe(before);
    expect(state.apply({ bundles: new Set([parseTrustDomain("third.org")]) })).toEqual([]);
    expect(state.apply({ bundles: new Set([TD]) })).toEqual([{ kind: "bundles", agents: "all" }]);
    expect(state.bundleRevisions.of(agent("two"))).toBeGreaterThan(before);
    expect(state.entryRevisions.of(agent("two"))).toBe(entriesBefore);
  });
});

describe("against the rule written plainly", () => {
  /** Repeatable noise. */
  function noise(seed: number): (below: number) => number {
    let state = seed;
    return (below) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
  }

  /** All that an agent may have, by asking every entry until nothing is added. */
  function plainly(
    entries: ReadonlyMap<string, RegistrationEntry>,
    nodes: ReadonlyMap<SpiffeId, string[]>,
    agentId: SpiffeId,
  ) {
    const texts = new Set(selectors(...(nodes.get(agentId) ?? [])).map(selectorText));
    const found = new Set<string>();
    const parents = new Set<SpiffeId>([agentId]);
    for (const item of entries.values()) {
      if (item.parentId === SERVER && isSubset(item.selectors, texts)) parents.add(item.spiffeId);
    }
    for (let grown = true; grown; ) {
      grown = false;
      for (const item of entries.values()) {
        if (!parents.has(item.parentId) || found.has(item.entryId)) continue;
        found.add(item.entryId);
        parents.add(item.spiffeId);
        grown = true;
      }
    }
    return [...found].sort().join(" ");
  }

  test.each([1, 2, 3, 4, 5])("random changes, seed %d: answers are right, and nobody concerned is left out", (seed) => {
    const pick = noise(seed);
    const state = new EntryState(TD, NOW);
    const entries = new Map<string, RegistrationEntry>();
    const nodes = new Map<SpiffeId, string[]>();
    const agents = ["a", "b", "c", "d"].map(agent);
    const someSelectors = (): string[] =>
      Array.from({ length: 1 + pick(3) }, () => `s:${pick(4)}`).filter((text, at, all) => all.indexOf(text) === at);
    let answers = agents.map((agentId) => plainly(entries, nodes, agentId));
    for (let round = 0; round < 300; round++) {
      const changed = new Map<string, RegistrationEntry | undefined>();
      const changedNodes = new Map<SpiffeId, ReturnType<typeof selectors> | undefined>();
      for (let count = 1 + pick(3); count > 0; count--) {
        const entryId = `e${pick(14)}`;
        const parents = [SERVER, ...agents, id(`/${pick(6)}`), id(`/${pick(6)}`), id(`/${pick(6)}`)];
        const parentId = parents[pick(parents.length)]!;
        const item = entry(entryId, {
          parentId,
          spiffeId: id(`/${pick(6)}`),
          selectors: selectors(...someSelectors()),
        });
        if (pick(3) === 0) entries.delete(entryId);
        else entries.set(entryId, item);
        changed.set(entryId, entries.get(entryId));
      }
      if (pick(3) === 0) {
        const agentId = agents[pick(4)]!;
        if (pick(4) === 0) nodes.delete(agentId);
        else nodes.set(agentId, someSelectors());
        const texts = nodes.get(agentId);
        changedNodes.set(agentId, texts && selectors(...texts));
      }
      const told = state.apply({ entries: changed, nodes: changedNodes });
      const concerned = new Set(
        told.flatMap((change) => (change.agents === "all" ? agents : Array.from(change.agents))),
      );
      const now = agents.map((agentId) => plainly(entries, nodes, agentId));
      for (const [at, agentId] of agents.entries()) {
        const found = state.view(agentId, NOW).set.entries.map((item) => item.entryId);
        expect(found.sort().join(" "), `round ${round}`).toBe(now[at]);
        if (now[at] !== answers[at]) expect(concerned, `round ${round}`).toContain(agentId);
      }
      answers = now;
    }
  });
});
