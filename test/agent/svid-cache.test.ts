import { describe, expect, test } from "vitest";
import { SvidCache } from "../../src/agent/svid-cache.ts";
import { emptyBundle } from "../../src/spiffe/bundle.ts";
import type { AuthorizedEntry } from "../../src/spiffe/entry.ts";
import { makeSpiffeId, parseTrustDomain } from "../../src/spiffe/id.ts";
import { parseSelector } from "../../src/spiffe/selector.ts";
import type { WorkloadUpdate } from "../../src/workload-api/ports.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { authorized, bundle, issued, TD, update } from "./entries.ts";

const PARTNER = parseTrustDomain("partner.org");

function setup() {
  const clock = new FakeClock();
  const cache = new SvidCache(clock, emptyBundle(TD));
  const later = clock.now() + 3_600_000;
  const cell = (...selectors: string[]) => cache.subscribe(selectors.map(parseSelector));
  const ids = (value: WorkloadUpdate): string[] => value.identities.map(({ entry }) => entry.entryId);
  /** Follows a cell and remembers what it was told. */
  const follow = (...selectors: string[]) => {
    const told: string[] = [];
    const stop = cell(...selectors).subscribe((value) =>
      told.push(`${ids(value).join("+")}${value.pending ? "…" : ""}`),
    );
    return { told, stop };
  };
  return { clock, cache, later, cell, ids, follow };
}

describe("what a caller has", () => {
  test("exactly the entries whose selectors it has all, sorted by entry ID", () => {
    const { cache, later, cell, ids } = setup();
    const entries = [
      authorized("c-user", ["unix:uid:1"]),
      authorized("a-both", ["unix:uid:1", "unix:path:/bin/x"]),
      authorized("b-other", ["unix:uid:2"]),
    ];
    cache.applySync(update(entries));
    cache.put(entries.map((entry) => issued(entry, later)));
    expect(ids(cell("unix:uid:1", "unix:path:/bin/x", "unix:gid:9").value)).toEqual(["a-both", "c-user"]);
    expect(ids(cell("unix:uid:1").value)).toEqual(["c-user"]);
    expect(ids(cell("unix:path:/bin/x").value)).toEqual([]);
    expect(ids(cell().value)).toEqual([]);
  });

  test("nothing of entries that are for secret stores", () => {
    const { cache, later, cell, ids } = setup();
    const store = authorized("store", ["unix:uid:1"], { storeSvid: true });
    cache.applySync(update([store]));
    cache.put([issued(store, later)]);
    expect(ids(cell("unix:uid:1").value)).toEqual([]);
    expect(cell("unix:uid:1").value.pending).toBe(false);
    expect([...cache.entries()]).toEqual([]);
  });

  test("the bundles of the trust domains that its identities federate with", () => {
    const { cache, later, cell } = setup();
    const friend = authorized("friend", ["unix:uid:1"], { federatesWith: [PARTNER] });
    const loner = authorized("loner", ["unix:uid:2"]);
    const federatedBundles = new Map([[PARTNER, bundle(7, PARTNER)]]);
    cache.applySync(update([friend, loner], { federatedBundles }));
    cache.put([issued(friend, later), issued(loner, later)]);
    expect([...cell("unix:uid:1").value.federatedBundles.keys()]).toEqual([PARTNER]);
    expect(cell("unix:uid:2").value.federatedBundles.size).toBe(0);
  });
});

describe("pending", () => {
  test("everybody waits before the first sync", () => {
    const { cache, cell } = setup();
    expect(cell("unix:uid:1").value).toMatchObject({ pending: true, identities: [] });
    const waiting = cell("unix:uid:1");
    cache.applySync(update([]));
    expect(waiting.value).toMatchObject({ pending: false, identities: [] });
  });

  test("a caller waits for SVIDs on their way, and not for those that failed if it has others", () => {
    const { cache, later, cell } = setup();
    const [a, b] = [authorized("a", ["unix:uid:1"]), authorized("b", ["unix:uid:1"])];
    cache.applySync(update([a, b]));
    const mine = cell("unix:uid:1");
    expect(mine.value.pending).toBe(true);
    cache.put([issued(a, later)]);
    expect(mine.value.pending).toBe(true);
    cache.markFailed(["b"]);
    expect(mine.value.pending).toBe(false);
    cache.put([issued(b, later)]);
    expect(mine.value.pending).toBe(false);
  });

  test("a caller with nothing waits rather than hear that it is entitled to nothing", () => {
    const { cache, cell } = setup();
    cache.applySync(update([authorized("a", ["unix:uid:1"])]));
    cache.markFailed(["a"]);
    expect(cell("unix:uid:1").value).toMatchObject({ pending: true, identities: [] });
  });
});

describe("what was stored", () => {
  const web = authorized("web", ["unix:uid:1"]);
  const stored = (change = {}) => ({ bundle: bundle(1), federatedBundles: new Map(), entries: [], ...change });

  test("is served before the first sync; who matches none of it waits, until the server cannot be asked", () => {
    const { clock, cache, later, cell, ids, follow } = setup();
    const { told } = follow("unix:uid:1");
    const stranger = follow("unix:uid:2");
    cache.restore(stored({ entries: [{ entry: web, issued: issued(web, later) }] }), clock.now());
    expect(told).toEqual(["web"]);
    expect(ids(cell("unix:uid:1").value)).toEqual(["web"]);
    expect(cell("unix:uid:2").value.pending).toBe(true);
    cache.settle();
    expect(cell("unix:uid:2").value).toMatchObject({ pending: false, identities: [] });
    expect(stranger.told.at(-1)).toBe("");
    expect(told).toEqual(["web"]);
  });

  test("gives way to what the server says", () => {
    const { clock, cache, later, cell, ids } = setup();
    cache.restore(stored({ entries: [{ entry: web, issued: issued(web, later) }] }), clock.now());
    cache.applySync(update([]));
    expect(cell("unix:uid:1").value).toMatchObject({ pending: false, identities: [] });
    cache.restore(stored({ entries: [{ entry: web, issued: issued(web, later) }] }), clock.now());
    expect(ids(cell("unix:uid:1").value)).toEqual([]);
  });

  test("and had ended by then is not served", () => {
    const { clock, cache, later, cell } = setup();
    cache.restore(stored({ entries: [{ entry: web, issued: issued(web, later) }] }), later);
    expect(clock.now()).toBeLessThan(later);
    expect(cell("unix:uid:1").value).toMatchObject({ pending: true, identities: [] });
  });

  test("without anything stored, nobody is told that there is nothing for them", () => {
    const { cache, cell } = setup();
    cache.settle();
    expect(cell("unix:uid:1").value.pending).toBe(true);
  });

  test("is told of when it is worth storing anew, and only then", () => {
    const { cache, later } = setup();
    let changes = 0;
    cache.onChanged = () => changes++;
    cache.applySync(update([web]));
    expect(changes).toBe(1);
    cache.applySync(update([web]));
    expect(changes).toBe(1);
    cache.put([issued(web, later)]);
    expect(changes).toBe(2);
    cache.applySync(update([]));
    expect(changes).toBe(3);
  });
});

describe("telling", () => {
  test("only those whom a change concerns, once", () => {
    const { cache, later, follow } = setup();
    const entries = [authorized("a", ["unix:uid:1"]), authorized("b", ["unix:uid:2"])];
    cache.applySync(update(entries));
    cache.put(entries.map((entry) => issued(entry, later)));
    const one = follow("unix:uid:1");
    const two = follow("unix:uid:2", "unix:gid:2");
    cache.put([issued(entries[0]!, later + 1)]);
    expect([one.told, two.told]).toEqual([["a"], []]);
    cache.applySync(update(entries));
    cache.applySync(update(entries.map((entry) => ({ ...entry }))));
    expect([one.told, two.told]).toEqual([["a"], []]);
    cache.applySync(update([entries[0]!]));
    expect([one.told, two.told]).toEqual([["a"], [""]]);
  });

  test("SVIDs that come together are one change", () => {
    const { cache, later, follow } = setup();
    const entries = ["a", "b", "c"].map((id) => authorized(id, ["unix:uid:1"]));
    cache.applySync(update(entries));
    const one = follow("unix:uid:1");
    cache.put(entries.map((entry) => issued(entry, later)));
    expect(one.told).toEqual(["a+b+c"]);
  });

  test("an entry that changed is served as before until its new SVID is there", () => {
    const { cache, later, cell, follow } = setup();
    const old = authorized("a", ["unix:uid:1"], { hint: "old" });
    cache.applySync(update([old]));
    cache.put([issued(old, later)]);
    const one = follow("unix:uid:1");
    const changed = { ...old, hint: "new", revision: 1n };
    cache.applySync(update([changed]));
    expect(one.told).toEqual([]);
    cache.put([issued(changed, later)]);
    expect(one.told).toEqual(["a"]);
    expect(cell("unix:uid:1").value.identities[0]?.entry.hint).toBe("new");
  });

  test("but what takes something away from its callers holds at once", () => {
    const { cache, later, cell, follow } = setup();
    const friends = [parseTrustDomain("friend.test"), PARTNER];
    const old = authorized("a", ["unix:uid:1"], { federatesWith: friends });
    const other = authorized("b", ["unix:uid:2"], { federatesWith: friends });
    const federatedBundles = new Map(friends.map((one) => [one, bundle(7, one)]));
    cache.applySync(update([old, other], { federatedBundles }));
    cache.put([issued(old, later), issued(other, later)]);
    const one = follow("unix:uid:1");
    const changes: Partial<AuthorizedEntry>[] = [{ federatesWith: [PARTNER] }, { jwtSvidIncludeJti: true }];
    for (const [index, change] of changes.entries()) {
      const changed = { ...old, ...change, revision: BigInt(index + 1) };
      cache.applySync(update([changed, other], { federatedBundles }));
      const { entries, identities, federatedBundles: left } = cell("unix:uid:1").value;
      expect([...left.keys()]).toEqual(changed.federatesWith);
      expect(entries).toMatchObject([change]);
      expect(identities).toMatchObject([{ entry: change }]);
    }
    expect(one.told).toEqual(["a", "a"]);
    cache.applySync(update([{ ...old, revision: 9n }, other], { federatedBundles }));
    expect(one.told).toEqual(["a", "a", "a"]);
  });

  test("but another SPIFFE ID takes the old one away at once", () => {
    const { cache, later, follow } = setup();
    const old = authorized("a", ["unix:uid:1"]);
    cache.applySync(update([old]));
    cache.put([issued(old, later)]);
    const one = follow("unix:uid:1");
    const renamed = { ...old, spiffeId: makeSpiffeId(TD, "/renamed"), revision: 1n };
    cache.applySync(update([renamed]));
    expect(one.told).toEqual(["…"]);
    // An answer that was on its way for the old ID is not used.
    cache.put([issued(old, later)]);
    expect(one.told).toEqual(["…"]);
    cache.put([issued(renamed, later)]);
    expect(one.told).toEqual(["…", "a"]);
  });

  test.each(["admin", "downstream"] as const)(
    "that an entry is %s by now holds at once, also of its old SVID",
    (flag) => {
      const { cache, later, cell, ids } = setup();
      const old = authorized("a", ["unix:uid:1"], { hint: "old" });
      cache.applySync(update([old]));
      cache.put([issued(old, later)]);
      cache.applySync(update([{ ...old, [flag]: true, hint: "new", revision: 1n }]));
      const served = () => {
        const { entries, identities } = cell("unix:uid:1").value;
        return [...entries, ...identities.map(({ entry }) => entry)].map((entry) => [entry[flag], entry.hint]);
      };
      const both = [true, "old"];
      expect(served()).toEqual([both, both]);
      // An answer that was on its way when the entry changed, and the same entry with other selectors.
      cache.put([issued(old, later)]);
      expect(served()).toEqual([both, both]);
      cache.applySync(update([{ ...authorized("a", ["unix:uid:2"], { revision: 2n }) }]));
      expect(ids(cell("unix:uid:2").value)).toEqual(["a"]);
      expect(cell("unix:uid:2").value.identities[0]?.entry[flag]).toBe(false);
    },
  );

  test("an entry whose selectors change moves from one caller to another, with its SVID", () => {
    const { cache, later, follow } = setup();
    const entry = authorized("a", ["unix:uid:1"]);
    cache.applySync(update([entry]));
    cache.put([issued(entry, later)]);
    const [one, two] = [follow("unix:uid:1"), follow("unix:uid:2")];
    cache.applySync(update([authorized("a", ["unix:uid:2"], { revision: 1n })]));
    expect([one.told, two.told]).toEqual([[""], ["a"]]);
  });

  test("an entry that was deleted and made again is a new one", () => {
    const { cache, later, cell } = setup();
    const entry = authorized("a", ["unix:uid:1"]);
    cache.applySync(update([entry]));
    cache.put([issued(entry, later)]);
    cache.applySync(update([{ ...entry, createdAt: 2 }]));
    const [state] = [...cache.entries()];
    expect(state?.entry.createdAt).toBe(2);
    expect(state?.issued?.entry.createdAt).toBe(1);
    expect(cell("unix:uid:1").value.identities).toHaveLength(1);
  });

  test("a bundle that says the same is the same object; one that does not is told", () => {
    const { cache, cell, follow } = setup();
    cache.applySync(update([]));
    const before = cell("unix:uid:1").value.bundle;
    const one = follow("unix:uid:1");
    cache.applySync(update([], { bundle: { ...bundle(1), sequence: 9n } }));
    expect(cell("unix:uid:1").value.bundle).toBe(before);
    expect(one.told).toEqual([]);
    cache.applySync(update([], { bundle: bundle(2) }));
    expect(one.told).toEqual([""]);
    expect(cell("unix:uid:1").value.bundle).not.toBe(before);
  });

  test("a federated bundle that comes, changes or goes is told", () => {
    const { cache, later, follow } = setup();
    const entry = authorized("a", ["unix:uid:1"], { federatesWith: [PARTNER] });
    const federated = (mark: number) =>
      update([entry], { federatedBundles: new Map([[PARTNER, bundle(mark, PARTNER)]]) });
    cache.applySync(update([entry]));
    cache.put([issued(entry, later)]);
    const one = follow("unix:uid:1");
    for (const change of [federated(7), federated(7), federated(8), update([entry])]) cache.applySync(change);
    expect(one.told).toEqual(["a", "a", "a"]);
  });

  test("stopping takes everything away and refuses late SVIDs", () => {
    const { cache, later, follow } = setup();
    const entry = authorized("a", ["unix:uid:1"]);
    cache.applySync(update([entry]));
    cache.put([issued(entry, later)]);
    const one = follow("unix:uid:1");
    cache.clear();
    cache.put([issued(entry, later + 1)]);
    expect(one.told).toEqual([""]);
    cache.applySync(update([entry]));
    cache.put([issued(entry, later)]);
    expect(one.told).toEqual(["", "…", "a"]);
  });
});

describe("expiry", () => {
  test("an expired SVID leaves every stream, at its moment", async () => {
    const { clock, cache, follow } = setup();
    const [a, b] = [authorized("a", ["unix:uid:1"]), authorized("b", ["unix:uid:1"])];
    cache.applySync(update([a, b]));
    const start = clock.now();
    cache.put([issued(a, start + 1_000), issued(b, start + 200_000)]);
    const one = follow("unix:uid:1");
    await clock.advance(999);
    expect(one.told).toEqual([]);
    await clock.advance(1);
    expect(one.told).toEqual(["b"]);
    await clock.advance(198_999);
    expect(one.told).toEqual(["b"]);
    await clock.advance(1);
    expect(one.told).toEqual(["b", "…"]);
    cache.put([issued(a, clock.now() + 1_000)]);
    expect(one.told).toEqual(["b", "…", "a"]);
  });

  test("is noticed within a minute after the wall clock jumped", async () => {
    const { clock, cache, follow } = setup();
    const entry = authorized("a", ["unix:uid:1"]);
    cache.applySync(update([entry]));
    cache.put([issued(entry, clock.now() + 7_200_000)]);
    const one = follow("unix:uid:1");
    clock.setWall(clock.now() + 10_800_000);
    await clock.advance(60_000);
    expect(one.told).toEqual(["…"]);
  });
});

describe("sharing", () => {
  test("equal sets of selectors share a cell, equal sets of entries share the update", () => {
    const { cache, later, cell } = setup();
    const entry = authorized("a", ["unix:uid:1"]);
    cache.applySync(update([entry]));
    cache.put([issued(entry, later)]);
    expect(cell("unix:uid:1", "unix:gid:1")).toBe(cell("unix:gid:1", "unix:uid:1", "unix:gid:1"));
    expect(cell("unix:uid:1", "unix:gid:1").value).toBe(cell("unix:uid:1", "unix:gid:2").value);
    cache.put([issued(entry, later + 1)]);
    expect(cell("unix:uid:1", "unix:gid:1").value).toBe(cell("unix:uid:1", "unix:gid:2").value);
    expect(cell("unix:uid:3").value).toBe(cell("unix:uid:4").value);
  });

  test("cells that nobody reads are bounded, and one that is read late is not stale", () => {
    const { cache, later, cell, ids } = setup();
    const entry = authorized("a", ["unix:uid:1"]);
    cache.applySync(update([entry]));
    const early = cell("unix:uid:1", "unix:gid:early");
    for (let index = 0; index < 3_000; index++) void cell("unix:uid:1", `unix:gid:${index}`);
    expect(cache.sizes.cells).toBeLessThanOrEqual(1_024);
    cache.put([issued(entry, later)]);
    expect(ids(early.value)).toEqual(["a"]);
    const told: string[][] = [];
    early.subscribe((value) => told.push(ids(value)));
    cache.applySync(update([]));
    expect(told).toEqual([[]]);
  });

  test("cells that are read are kept, however many", () => {
    const { cache, later, cell } = setup();
    const entry = authorized("a", ["unix:uid:1"]);
    cache.applySync(update([entry]));
    let told = 0;
    const stops = Array.from({ length: 3_000 }, (_, index) =>
      cell("unix:uid:1", `unix:gid:${index}`).subscribe(() => told++),
    );
    cache.put([issued(entry, later)]);
    expect(told).toBe(3_000);
    for (const stop of stops) stop();
    expect(cache.sizes.cells).toBeLessThanOrEqual(1_024);
  });

  test("watch ends with its signal and when the cache closes", async () => {
    const { cache, cell } = setup();
    const controller = new AbortController();
    const seen: WorkloadUpdate[] = [];
    const first = (async () => {
      for await (const value of cell("unix:uid:1").watch(controller.signal)) seen.push(value);
    })();
    const second = (async () => {
      for await (const value of cell("unix:uid:1").watch(new AbortController().signal)) seen.push(value);
    })();
    controller.abort();
    await first;
    cache.close();
    await second;
    expect(seen.length).toBeGreaterThan(0);
  });
});

describe("wanted", () => {
  test("a caller makes entries wanted while it reads", () => {
    const { cache, cell } = setup();
    cache.applySync(update([authorized("a", ["unix:uid:1"]), authorized("b", ["unix:uid:2"])]));
    let calls = 0;
    const end = cache.onWanted(() => calls++);
    const wanted = () => [...cache.entries()].filter((entry) => entry.wanted).map(({ entry }) => entry.entryId);
    expect(wanted()).toEqual([]);
    const stop = cell("unix:uid:1").subscribe(() => {});
    expect(wanted()).toEqual(["a"]);
    expect(calls).toBe(1);
    stop();
    stop();
    expect(wanted()).toEqual([]);
    end();
    cell("unix:uid:1").subscribe(() => {});
    expect(calls).toBe(1);
  });

  test("stays right when entries come and go under open streams", () => {
    const { cache, cell } = setup();
    const stop = cell("unix:uid:1").subscribe(() => {});
    const entry = authorized("a", ["unix:uid:1"]);
    for (let round = 0; round < 3; round++) {
      cache.applySync(update([entry]));
      expect([...cache.entries()][0]?.wanted).toBe(true);
      cache.applySync(update([]));
    }
    stop();
    cache.applySync(update([entry]));
    expect([...cache.entries()][0]?.wanted).toBe(false);
  });
});
