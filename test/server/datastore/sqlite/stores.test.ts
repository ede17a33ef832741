import { describe, expect, test } from "vitest";
import { parseTrustDomain } from "../../../../src/spiffe/id.ts";
import { bundle, entry, id, node, selectors, TD } from "../../../fakes/entries.ts";
import { tempDataStore } from "../../../fakes/temp-datastore.ts";

const OTHER = parseTrustDomain("other.org");

describe("nodes", () => {
  test("put creates and replaces all, update sets some", async () => {
    const { store } = await tempDataStore();
    const one = node("one", { selectors: selectors("b:2", "a:1"), agentVersion: "1.0", canReattest: true });
    await store.nodes.put(one);
    expect(await store.nodes.get(one.agentId)).toEqual({ ...one, selectors: selectors("a:1", "b:2") });
    await store.nodes.put(node("one", { serial: "7" }));
    expect(await store.nodes.get(one.agentId)).toEqual(node("one", { serial: "7" }));
    expect(await store.nodes.update(one.agentId, { pendingSerial: "8", pendingExpiresAt: 9 })).toBe(true);
    expect(await store.nodes.update(one.agentId, { selectors: selectors("c:3") })).toBe(true);
    expect(await store.nodes.get(one.agentId)).toEqual(
      node("one", { serial: "7", pendingSerial: "8", pendingExpiresAt: 9, selectors: selectors("c:3") }),
    );
    expect(await store.nodes.update(id("/spire/agent/test/none"), { serial: "1" })).toBe(false);
    expect(await store.nodes.delete(one.agentId)).toMatchObject({ serial: "7" });
    expect(await store.nodes.delete(one.agentId)).toBeUndefined();
    expect(await store.nodes.get(one.agentId)).toBeUndefined();
  });

  test("lists and counts by each condition", async () => {
    const { store } = await tempDataStore();
    await store.nodes.put(node("a", { selectors: selectors("s:1"), attestationType: "tpm", expiresAt: 10 }));
    await store.nodes.put(node("b", { selectors: selectors("s:1", "s:2"), serial: "" }));
    await store.nodes.put(node("c", { canReattest: true }));
    const found = async (filter: Parameters<typeof store.nodes.count>[0]): Promise<string> => {
      const page = await store.nodes.list(filter, { size: 0, token: "" });
      expect(await store.nodes.count(filter)).toBe(page.items.length);
      return page.items.map((item) => item.agentId.slice(-1)).join("");
    };
    expect(await found({})).toBe("abc");
    expect(await found({ attestationType: "tpm" })).toBe("a");
    expect(await found({ banned: true })).toBe("b");
    expect(await found({ banned: false })).toBe("ac");
    expect(await found({ canReattest: true })).toBe("c");
    expect(await found({ expiresBefore: 11 })).toBe("a");
    expect(await found({ selectors: { set: selectors("s:1"), match: "superset" } })).toBe("ab");
    expect(await found({ selectors: { set: selectors("s:1"), match: "exact" } })).toBe("a");
    expect(await found({ selectors: { set: selectors("s:1", "s:2", "s:3"), match: "subset" } })).toBe("ab");
    expect(await found({ selectors: { set: selectors("s:2", "s:3"), match: "any" }, banned: true })).toBe("b");
    const first = await store.nodes.list({}, { size: 2, token: "" });
    expect((await store.nodes.list({}, { size: 2, token: first.nextToken })).items).toHaveLength(1);
  });

  test("prune never takes banned nodes, and others that cannot re-attest only when told", async () => {
    const { store } = await tempDataStore();
    await store.nodes.put(node("banned", { expiresAt: 1, serial: "", canReattest: true }));
    await store.nodes.put(node("tofu", { expiresAt: 1 }));
    await store.nodes.put(node("again", { expiresAt: 2, canReattest: true }));
    await store.nodes.put(node("valid", { expiresAt: 50, canReattest: true }));
    expect(await store.nodes.prune(50, false, 10)).toEqual([node("again").agentId]);
    expect(await store.nodes.prune(50, true, 10)).toEqual([node("tofu").agentId]);
    expect(await store.nodes.count({})).toBe(2);
  });
});

describe("bundles", () => {
  test("the sequence grows with each change of content and only then (BDL-05)", async () => {
    const { store } = await tempDataStore();
    expect(await store.bundles.get(TD)).toBeUndefined();
    const first = await store.bundles.append(bundle(TD, "a"));
    expect(first).toMatchObject({ sequence: 1n, x509Authorities: bundle(TD, "a").x509Authorities });
    expect((await store.bundles.append(bundle(TD, "a"))).sequence).toBe(1n);
    expect((await store.bundles.append(bundle(TD, "a", "b"))).sequence).toBe(2n);
    expect((await store.bundles.set(bundle(TD, "a", "b"))).sequence).toBe(2n);
    expect((await store.bundles.set({ ...bundle(TD, "a", "b"), refreshHint: 60 })).sequence).toBe(3n);
    const set = await store.bundles.set(bundle(TD, "b"));
    expect(set.sequence).toBe(4n);
    expect(await store.bundles.get(TD)).toEqual(set);
  });

  test("the sequence follows that of a bundle from elsewhere, and never goes back (BDL-05, FED-04)", async () => {
    const { store } = await tempDataStore();
    const set = async (sequence: bigint, ...names: string[]): Promise<bigint> =>
      (await store.bundles.set({ ...bundle(OTHER, ...names), sequence })).sequence;
    expect(await set(7n, "a")).toBe(7n);
    expect(await set(7n, "a")).toBe(7n);
    expect(await set(9n, "a")).toBe(9n);
    expect(await set(3n, "a")).toBe(9n);
    expect(await set(3n, "b")).toBe(10n);
    // More than a column's number can count on from.
    expect(await set(2n ** 64n - 1n, "c")).toBe(11n);
    expect(await set(2n ** 52n, "c")).toBe(2n ** 52n);
    expect(await set(0n, "d")).toBe(2n ** 52n + 1n);
    expect((await store.bundles.get(OTHER))?.sequence).toBe(2n ** 52n + 1n);
  });

  test("keeps keys, expiry and taint", async () => {
    const { store } = await tempDataStore();
    const key = (keyId: string) => ({ keyId, publicKey: new Uint8Array([1, 2]), expiresAt: 77, tainted: true });
    const full = {
      ...bundle(OTHER),
      x509Authorities: [{ ...bundle(OTHER, "a").x509Authorities[0]!, tainted: true }],
      jwtAuthorities: [key("j")],
      witAuthorities: [key("w")],
      refreshHint: 300,
    };
    await store.bundles.set(full);
    expect(await store.bundles.get(OTHER)).toEqual({ ...full, sequence: 1n });
    const appended = await store.bundles.append({ ...bundle(OTHER, "a"), jwtAuthorities: [key("j"), key("k")] });
    expect(appended.x509Authorities).toEqual(full.x509Authorities);
    expect(appended.jwtAuthorities.map((item) => item.keyId)).toEqual(["j", "k"]);
    expect(appended.refreshHint).toBe(300);
    expect((await store.bundles.append({ ...bundle(OTHER, "a"), refreshHint: 60 })).refreshHint).toBe(60);
  });

  test("delete: restrict, dissociate, delete (FED-26)", async () => {
    const { store } = await tempDataStore();
    for (const mode of ["restrict", "dissociate", "delete"] as const) {
      await store.bundles.set(bundle(OTHER, "a"));
      await store.entries.create(entry(mode, { federatesWith: [OTHER] }));
    }
    await expect(store.bundles.delete(OTHER, "restrict")).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
    expect(await store.bundles.delete(OTHER, "dissociate")).toBe(true);
    expect(await store.entries.get("restrict")).toMatchObject({ federatesWith: [], revision: 1n });
    expect(await store.bundles.delete(OTHER, "restrict")).toBe(false);
    await store.bundles.set(bundle(OTHER, "a"));
    await store.entries.create(entry("last", { federatesWith: [OTHER] }));
    expect(await store.bundles.delete(OTHER, "delete")).toBe(true);
    expect(await store.entries.get("last")).toBeUndefined();
    expect(await store.entries.count({})).toBe(3);
    expect(await store.bundles.count()).toBe(0);
  });

  test("lists in pages", async () => {
    const { store } = await tempDataStore();
    await store.bundles.set(bundle(TD, "a"));
    await store.bundles.set(bundle(OTHER, "b"));
    const page = await store.bundles.list({ size: 1, token: "" });
    expect(page.items[0]?.trustDomain).toBe(TD);
    expect((await store.bundles.list({ size: 1, token: page.nextToken })).items[0]?.trustDomain).toBe(OTHER);
  });
});

describe("join tokens", () => {
  test("a token is spent once, however many ask at once", async () => {
    const { store } = await tempDataStore();
    await store.joinTokens.create("secret", 99);
    await expect(store.joinTokens.create("secret", 1)).rejects.toMatchObject({ code: "ALREADY_EXISTS" });
    expect(await store.joinTokens.consume("Secret")).toBeUndefined();
    const outcomes = await Promise.all(Array.from({ length: 5 }, () => store.joinTokens.consume("secret")));
    expect(outcomes.filter((outcome) => outcome !== undefined)).toEqual([{ expiresAt: 99 }]);
    expect(await store.joinTokens.consume("secret")).toBeUndefined();
  });

  test("prune deletes expired ones and counts them", async () => {
    const { store } = await tempDataStore();
    await store.joinTokens.create("a", 10);
    await store.joinTokens.create("b", 20);
    expect(await store.joinTokens.prune(20)).toBe(1);
    expect(await store.joinTokens.consume("b")).toEqual({ expiresAt: 20 });
  });
});

describe("CA journal", () => {
  test("keeps the last record, byte for byte", async () => {
    const { store } = await tempDataStore();
    expect(await store.caJournal.load()).toBeUndefined();
    await store.caJournal.save(new Uint8Array([0, 255, 1]));
    await store.caJournal.save(new Uint8Array([7, 0]));
    expect(await store.caJournal.load()).toEqual(new Uint8Array([7, 0]));
  });
});

describe("events", () => {
  test("every write records one, in order; failed writes none", async () => {
    const { store } = await tempDataStore();
    expect(await store.events.latest()).toBe(0n);
    expect(await store.events.since(0n, 10)).toEqual([]);
    await store.bundles.set(bundle(OTHER, "a"));
    await store.entries.create(entry("e", { federatesWith: [OTHER] }));
    await store.entries.create(entry("again", { spiffeId: id("/e") }));
    await store.nodes.put(node("n"));
    await store.entries.update(entry("e", { federatesWith: [OTHER], hint: "x" }));
    await expect(store.entries.update(entry("none"))).rejects.toThrow();
    await store.bundles.delete(OTHER, "delete");
    const events = await store.events.since(0n, 10);
    expect(events?.map((event) => `${event.id} ${event.kind} ${event.subject}`)).toEqual([
      "1 bundle other.org",
      "2 entry e",
      `3 node ${node("n").agentId}`,
      "4 entry e",
      "5 entry e",
      "6 bundle other.org",
    ]);
    expect(await store.events.since(4n, 1)).toMatchObject([{ id: 5n }]);
    expect(await store.events.since(6n, 1)).toEqual([]);
    expect(await store.events.latest()).toBe(6n);
  });

  test("a reader that the log does not reach is told so", async () => {
    const { store, clock } = await tempDataStore();
    await store.entries.create(entry("a"));
    await store.entries.create(entry("b"));
    await clock.advance(10_000);
    await store.entries.create(entry("c"));
    const now = clock.now() / 1000;
    await store.events.prune(now);
    expect(await store.events.since(1n, 10)).toBeUndefined();
    expect(await store.events.since(2n, 10)).toMatchObject([{ id: 3n }]);
    expect(await store.events.since(4n, 10)).toBeUndefined();
    await store.events.prune(now + 1000);
    expect(await store.events.latest()).toBe(3n);
    expect(await store.events.since(3n, 10)).toEqual([]);
  });
});
