import { describe, expect, test } from "vitest";
import type { EntryFilter } from "../../../../src/server/datastore/datastore.ts";
import { parseTrustDomain } from "../../../../src/spiffe/id.ts";
import { bundle, entry, id, selectors } from "../../../fakes/entries.ts";
import { tempDataStore } from "../../../fakes/temp-datastore.ts";

const OTHER = parseTrustDomain("other.org");
const THIRD = parseTrustDomain("third.org");

describe("create", () => {
  test("stores every field and reads it back in canonical form", async () => {
    const { store } = await tempDataStore();
    await store.bundles.set(bundle(OTHER, "x"));
    const full = entry("full", {
      selectors: selectors("unix:uid:1000", "k8s:ns:a", "unix:uid:1000", "unix:path:/bin/a:b"),
      federatesWith: [OTHER, OTHER],
      dnsNames: ["z.example.org", "a.example.org"],
      x509SvidTtl: 60,
      jwtSvidTtl: 70,
      admin: true,
      downstream: true,
      storeSvid: true,
      hint: "h",
      expiresAt: 1_800_000_000,
      disableX509SvidPrefetch: true,
      jwtSvidIncludeJti: true,
    });
    const wanted = {
      ...full,
      selectors: selectors("k8s:ns:a", "unix:path:/bin/a:b", "unix:uid:1000"),
      federatesWith: [OTHER],
    };
    expect(await store.entries.create(full)).toEqual({ entry: wanted, created: true });
    expect(await store.entries.get("full")).toEqual(wanted);
    expect(await store.entries.get("none")).toBeUndefined();
  });

  test("returns the existing entry for the same ID, parent and selector set in any order", async () => {
    const { store } = await tempDataStore();
    const first = entry("first", { spiffeId: id("/w"), selectors: selectors("a:1", "b:2") });
    await store.entries.create(first);
    const again = await store.entries.create(
      entry("second", { spiffeId: id("/w"), selectors: selectors("b:2", "a:1", "b:2"), hint: "new" }),
    );
    expect(again).toEqual({ entry: first, created: false });
    expect(await store.entries.get("second")).toBeUndefined();
    const wider = entry("third", { spiffeId: id("/w"), selectors: selectors("a:1", "b:2", "c:3") });
    expect((await store.entries.create(wider)).created).toBe(true);
  });

  test("returns the existing one as well when the ID is the same", async () => {
    const { store } = await tempDataStore();
    await store.entries.create(entry("a"));
    expect(await store.entries.create(entry("a", { hint: "again" }))).toEqual({ entry: entry("a"), created: false });
  });

  test("refuses a taken entry ID, no selectors and an unknown federated bundle, and leaves nothing", async () => {
    const { store } = await tempDataStore();
    await store.entries.create(entry("a"));
    const before = await store.events.latest();
    await expect(store.entries.create(entry("a", { spiffeId: id("/other") }))).rejects.toMatchObject({
      code: "ALREADY_EXISTS",
    });
    await expect(store.entries.create(entry("b", { selectors: [] }))).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
    });
    await expect(store.entries.create(entry("c", { federatesWith: [OTHER] }))).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      publicMessage: 'unable to find federated bundle "other.org"',
    });
    expect(await store.entries.count({})).toBe(1);
    expect(await store.events.latest()).toBe(before);
  });

  test("two at the same moment: one is created, the other gets it", async () => {
    const { store } = await tempDataStore();
    const results = await Promise.all(
      ["a", "b", "c"].map((name) => store.entries.create(entry(name, { spiffeId: id("/same") }))),
    );
    expect(results.filter((result) => result.created)).toHaveLength(1);
    expect(new Set(results.map((result) => result.entry.entryId)).size).toBe(1);
  });
});

describe("update and delete", () => {
  test("update replaces all but createdAt, and the revision grows", async () => {
    const { store } = await tempDataStore();
    await store.bundles.set(bundle(OTHER, "x"));
    await store.entries.create(entry("a", { dnsNames: ["a.org"], federatesWith: [OTHER] }));
    const change = entry("a", { selectors: selectors("x:y"), dnsNames: ["b.org"], createdAt: 5, revision: 40n });
    const updated = await store.entries.update(change);
    expect(updated).toEqual({ ...change, createdAt: 1_700_000_000, revision: 1n });
    expect(await store.entries.get("a")).toEqual(updated);
    expect((await store.entries.update(change)).revision).toBe(2n);
  });

  test("update refuses an unknown ID, and what another entry is already", async () => {
    const { store } = await tempDataStore();
    await store.entries.create(entry("a"));
    await store.entries.create(entry("b"));
    await expect(store.entries.update(entry("c"))).rejects.toMatchObject({ code: "NOT_FOUND" });
    await expect(store.entries.update(entry("b", { spiffeId: id("/a") }))).rejects.toMatchObject({
      code: "ALREADY_EXISTS",
    });
    expect(await store.entries.get("b")).toEqual(entry("b"));
  });

  test("delete returns the entry once", async () => {
    const { store } = await tempDataStore();
    await store.entries.create(entry("a"));
    expect(await store.entries.delete("a")).toEqual(entry("a"));
    expect(await store.entries.delete("a")).toBeUndefined();
    expect(await store.entries.count({})).toBe(0);
  });

  test("prune takes only what expired, up to the limit", async () => {
    const { store } = await tempDataStore();
    for (const [name, expiresAt] of [
      ["never", 0],
      ["old", 10],
      ["older", 5],
      ["now", 20],
      ["later", 30],
    ] as const) {
      await store.entries.create(entry(name, { expiresAt }));
    }
    expect(await store.entries.prune(20, 1)).toEqual(["older"]);
    expect(await store.entries.prune(20, 10)).toEqual(["old"]);
    expect(await store.entries.prune(20, 10)).toEqual([]);
    expect(await store.entries.count({})).toBe(3);
  });
});

describe("list", () => {
  const found = async (filter: EntryFilter): Promise<string> => {
    const { store } = await tempDataStore();
    for (const td of [OTHER, THIRD]) await store.bundles.set(bundle(td, "x"));
    await store.entries.create(entry("a", { selectors: selectors("s:1"), federatesWith: [OTHER], hint: "h" }));
    await store.entries.create(entry("ab", { selectors: selectors("s:1", "s:2"), federatesWith: [OTHER, THIRD] }));
    await store.entries.create(entry("abc", { selectors: selectors("s:1", "s:2", "s:3"), parentId: id("/p") }));
    await store.entries.create(entry("c", { selectors: selectors("s:3"), downstream: true }));
    const page = await store.entries.list(filter, { size: 0, token: "" });
    expect(await store.entries.count(filter)).toBe(page.items.length);
    return page.items.map((item) => item.entryId).join(" ");
  };
  const by = (match: "exact" | "subset" | "superset" | "any", ...texts: string[]): EntryFilter => ({
    selectors: { set: selectors(...texts), match },
  });

  test.each<[string, EntryFilter, string]>([
    ["nothing", {}, "a ab abc c"],
    ["SPIFFE ID", { spiffeId: id("/ab") }, "ab"],
    ["parent", { parentId: id("/p") }, "abc"],
    ["hint", { hint: "h" }, "a"],
    ["no hint", { hint: "" }, "ab abc c"],
    ["downstream", { downstream: true }, "c"],
    ["not downstream", { downstream: false }, "a ab abc"],
    ["selectors exactly", by("exact", "s:2", "s:1"), "ab"],
    ["selectors exactly, none", by("exact", "s:2"), ""],
    ["selectors within", by("subset", "s:1", "s:2"), "a ab"],
    ["selectors at least", by("superset", "s:1", "s:2"), "ab abc"],
    ["selectors at least, given twice", by("superset", "s:1", "s:1"), "a ab abc"],
    ["any selector", by("any", "s:2", "s:3"), "ab abc c"],
    ["federates exactly", { federatesWith: { set: [OTHER], match: "exact" } }, "a"],
    ["federates within: none does not count", { federatesWith: { set: [OTHER], match: "subset" } }, "a"],
    ["federates at least", { federatesWith: { set: [OTHER], match: "superset" } }, "a ab"],
    ["federates any", { federatesWith: { set: [THIRD], match: "any" } }, "ab"],
    ["all conditions", { ...by("any", "s:1"), federatesWith: { set: [OTHER], match: "any" }, hint: "h" }, "a"],
  ])("by %s", async (_name, filter, wanted) => {
    expect(await found(filter)).toBe(wanted);
  });

  test("refuses an empty set and an oversized one", async () => {
    const { store } = await tempDataStore();
    const many = Array.from({ length: 1001 }, (_, index) => ({ type: "t", value: String(index) }));
    for (const set of [[], many]) {
      await expect(store.entries.count({ selectors: { set, match: "any" } })).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
      });
    }
  });

  test("pages cover everything once, whatever is deleted between them", async () => {
    const { store } = await tempDataStore();
    for (let index = 0; index < 7; index++) await store.entries.create(entry(`e${index}`));
    const seen: string[] = [];
    let token = "";
    const sizes: number[] = [];
    do {
      const page = await store.entries.list({}, { size: 3, token });
      seen.push(...page.items.map((item) => item.entryId));
      sizes.push(page.items.length);
      token = page.nextToken;
      await store.entries.delete("e2");
    } while (token !== "");
    expect(seen).toEqual(["e0", "e1", "e2", "e3", "e4", "e5", "e6"]);
    expect(sizes).toEqual([3, 3, 1]);
  });

  test("a last page that is just full has no token", async () => {
    const { store } = await tempDataStore();
    for (const name of ["a", "b"]) await store.entries.create(entry(name));
    expect((await store.entries.list({}, { size: 2, token: "" })).nextToken).toBe("");
  });

  test.each(["x", "seq:1", Buffer.from("seq:-1").toString("base64url"), Buffer.from("seq:1;").toString("base64url")])(
    "refuses the token %s",
    async (token) => {
      const { store } = await tempDataStore();
      await expect(store.entries.list({}, { size: 2, token })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    },
  );

  test("more rows than a slice come whole, and other work gets its turn", async () => {
    const { store } = await tempDataStore();
    await store.transaction(async (tx) => {
      for (let index = 0; index < 1201; index++) await tx.entries.create(entry(`e${index}`));
    });
    let turns = 0;
    const beat = setInterval(() => turns++, 0);
    const page = await store.entries.list({}, { size: 0, token: "" });
    clearInterval(beat);
    expect(new Set(page.items.map((item) => item.entryId)).size).toBe(1201);
    expect(page.items[1200]).toEqual(entry("e1200"));
    expect(turns).toBeGreaterThan(0);
    expect(await store.entries.getMany(page.items.map((item) => item.entryId))).toHaveLength(1201);
    const most = await store.entries.list({}, { size: 1000, token: "" });
    expect(most.items).toHaveLength(1000);
    expect((await store.entries.list({}, { size: 1000, token: most.nextToken })).items).toHaveLength(201);
  });
});
