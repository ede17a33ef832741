import { describe, expect, test } from "vitest";
import { EntryService } from "../../../src/gen/spire/api/server/entry/v1/entry.ts";
import { Entry, EntryMask } from "../../../src/gen/spire/api/types/entry.ts";
import { GrpcCode } from "../../../src/lib/grpc-status.ts";
import { parseTrustDomain } from "../../../src/spiffe/id.ts";
import { bundle, entry, id } from "../../fakes/entries.ts";
import { call, failure, startServer, type TestServer } from "../harness.ts";

const spiffeId = (path: string, trustDomain = "example.org") => ({ trustDomain, path });

/** A message that is right, with what a test changes. */
function message(change: Partial<Entry> = {}): Entry {
  return {
    ...Entry.fromPartial({}),
    spiffeId: spiffeId("/web"),
    parentId: spiffeId("/spire/agent/test/one"),
    selectors: [{ type: "unix", value: "uid:1000" }],
    ...change,
  };
}

async function create(server: TestServer, ...entries: Entry[]) {
  const { results } = await call(server.admin, EntryService.batchCreateEntry, { entries, outputMask: undefined });
  return results;
}

describe("a TTL that is too short for an outage", () => {
  const budget = { options: { outageBudgetMs: 2 * 3_600_000 } };
  const warned = {
    code: 0,
    message:
      "OK; warning: x509_svid_ttl 1h does not cover outage_budget (2h): as little as 27m is left when the server goes away; 4h27m covers it",
  };

  test("is stored, and warned of in the answer and in the log", async () => {
    const server = await startServer(budget);
    const [result] = await create(server, message({ x509SvidTtl: 3_600 }));
    expect(result?.status).toEqual(warned);
    expect(result?.entry?.x509SvidTtl).toBe(3_600);
    expect(server.lines.filter(({ message: text }) => text.includes("too short for an outage"))).toEqual([
      expect.objectContaining({ level: "warn" }) as unknown,
    ]);
    const updated = { ...(result?.entry ?? message()), x509SvidTtl: 3_600, hint: "other" };
    const { results } = await call(server.admin, EntryService.batchUpdateEntry, {
      entries: [updated],
      inputMask: undefined,
      outputMask: undefined,
    });
    expect(results[0]?.status).toEqual(warned);
  });

  test.each([
    ["long enough", 6 * 3_600],
    ["the server's default, which was warned of at its start", 0],
  ])("%s: no word", async (_name, x509SvidTtl) => {
    const [result] = await create(await startServer(budget), message({ x509SvidTtl }));
    expect(result?.status).toEqual({ code: 0, message: "OK" });
  });
});

describe("an entry", () => {
  test("is stored as it was asked for, and given what was not", async () => {
    const server = await startServer();
    await server.store.bundles.set(bundle(parseTrustDomain("other.org")));
    const asked = message({
      selectors: [
        { type: "unix", value: "uid:1000" },
        { type: "unix", value: "gid:1" },
        { type: "unix", value: "uid:1000" },
      ],
      x509SvidTtl: 60,
      jwtSvidTtl: 30,
      federatesWith: ["spiffe://other.org", "other.org"],
      admin: true,
      downstream: true,
      expiresAt: 4_000_000_000n,
      dnsNames: ["web", "*.example.org"],
      hint: "internal",
      additionalAttributes: { disableX509SvidPrefetch: true, jwtSvidIncludeJti: false },
      // The server's to say.
      revisionNumber: 77n,
      createdAt: 5n,
    });
    const [result] = await create(server, asked);
    expect(result?.status).toEqual({ code: 0, message: "OK" });
    const stored = result?.entry;
    expect(stored).toEqual({
      ...asked,
      id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/) as string,
      selectors: [
        { type: "unix", value: "gid:1" },
        { type: "unix", value: "uid:1000" },
      ],
      federatesWith: ["other.org"],
      revisionNumber: 0n,
      createdAt: BigInt(Math.floor(server.clock.now() / 1000)),
    });
    expect(await call(server.admin, EntryService.getEntry, { id: stored?.id ?? "", outputMask: undefined })).toEqual(
      stored,
    );
  });

  test("keeps the ID that was chosen for it", async () => {
    const server = await startServer();
    const [made, taken, wrong, long] = await create(
      server,
      message({ id: "my.entry_1-x" }),
      message({ id: "my.entry_1-x", spiffeId: spiffeId("/other") }),
      message({ id: "no spaces", spiffeId: spiffeId("/other") }),
      message({ id: "x".repeat(256), spiffeId: spiffeId("/other") }),
    );
    expect(made?.entry?.id).toBe("my.entry_1-x");
    expect(taken?.status?.code).toBe(GrpcCode.ALREADY_EXISTS);
    expect(taken?.entry).toBeUndefined();
    expect(wrong?.status).toMatchObject({
      code: GrpcCode.INVALID_ARGUMENT,
      message: "failed to convert entry: entry ID contains invalid characters",
    });
    expect(long?.status?.message).toBe("failed to convert entry: entry ID too long");
  });

  test("like another is not made twice: the first one is returned", async () => {
    const server = await startServer();
    const [first] = await create(server, message());
    const twice = [{ type: "unix", value: "uid:1000" }];
    const [again] = await create(server, message({ selectors: [...twice, ...twice], hint: "other" }));
    expect(again?.status).toEqual({ code: GrpcCode.ALREADY_EXISTS, message: "similar entry already exists" });
    expect(again?.entry).toEqual(first?.entry);
    // Also within one batch.
    const results = await create(
      server,
      message({ spiffeId: spiffeId("/new") }),
      message({ spiffeId: spiffeId("/new") }),
    );
    expect(results.map(({ status }) => status?.code)).toEqual([GrpcCode.OK, GrpcCode.ALREADY_EXISTS]);
    expect(await server.store.entries.count({})).toBe(2);
  });

  test.each<[string, Partial<Entry>, string]>([
    ["no parent", { parentId: undefined }, "invalid parent ID: request must specify SPIFFE ID"],
    [
      "a foreign parent",
      { parentId: spiffeId("/x", "other.org") },
      'invalid parent ID: "spiffe://other.org/x" is not a member of trust domain "example.org"',
    ],
    [
      "the trust domain as parent",
      { parentId: spiffeId("") },
      'invalid parent ID: "spiffe://example.org" is not a member of trust domain "example.org"; path is empty',
    ],
    ["no SPIFFE ID", { spiffeId: undefined }, "invalid spiffe ID: request must specify SPIFFE ID"],
    ["a foreign SPIFFE ID", { spiffeId: spiffeId("/x", "other.org") }, "invalid spiffe ID: "],
    ["a reserved SPIFFE ID", { spiffeId: spiffeId("/spire/agent/x") }, "path is in the reserved namespace"],
    ["the server's ID", { spiffeId: spiffeId("/spire/server") }, "path is in the reserved namespace"],
    ["the trust domain as SPIFFE ID", { spiffeId: spiffeId("") }, "path is empty"],
    ["a bad trust domain", { spiffeId: spiffeId("/x", "Example.Org") }, "trust domain characters are limited"],
    ["an empty trust domain", { spiffeId: spiffeId("/x", "") }, "trust domain is missing"],
    ["a path without slash", { spiffeId: spiffeId("x") }, "path must have a leading slash"],
    ["a path that ends in a slash", { spiffeId: spiffeId("/x/") }, "path cannot have a trailing slash"],
    ["a path with dots", { spiffeId: spiffeId("/x/../y") }, "path cannot contain dot segments"],
    ["a path with an empty segment", { spiffeId: spiffeId("/x//y") }, "path cannot contain empty segments"],
    ["a path with a space", { spiffeId: spiffeId("/x y") }, "path segment characters are limited"],
    ["an endless path", { spiffeId: spiffeId(`/${"x".repeat(3_000)}`) }, "SPIFFE ID is longer than"],
    ["no selectors", { selectors: [] }, "selector list is empty"],
    [
      "too many selectors",
      { selectors: many((n) => ({ type: "a", value: `${n}` })) },
      "selector list has more than 1000",
    ],
    ["too many DNS names", { dnsNames: many((n) => `a${n}.example`) }, "DNS name list has more than 200"],
    [
      "too many federated trust domains",
      { federatesWith: many((n) => `a${n}.org`) },
      "federates_with has more than 1000",
    ],
    ["a selector without type", { selectors: [{ type: "", value: "x" }] }, "missing selector type"],
    ["a selector without value", { selectors: [{ type: "unix", value: "" }] }, "missing selector value"],
    ["a colon in a selector's type", { selectors: [{ type: "unix:uid", value: "1" }] }, "selector type contains ':'"],
    ["a negative X.509 TTL", { x509SvidTtl: -1 }, "x509_svid_ttl cannot be negative"],
    ["a negative JWT TTL", { jwtSvidTtl: -1 }, "jwt_svid_ttl cannot be negative"],
    ["a negative expiry", { expiresAt: -1n }, "expires_at cannot be negative"],
    ["a DNS name with a space", { dnsNames: ["a b"] }, "invalid DNS name: idna error"],
    ["an empty DNS name", { dnsNames: [""] }, "invalid DNS name: empty or only whitespace"],
    ["two wildcards", { dnsNames: ["*.*.a"] }, "invalid DNS name: too many wildcards"],
    ["a bad federated trust domain", { federatesWith: ["no/slash"] }, "invalid federated trust domain: "],
    [
      "its own trust domain to federate with",
      { federatesWith: ["example.org"] },
      "cannot federate with its own trust domain",
    ],
    // API-34
    ["a long hint", { hint: "x".repeat(1025) }, "hint is too long, max length is 1024 characters"],
    [
      "a stored SVID of two attestors",
      {
        storeSvid: true,
        selectors: [
          { type: "a", value: "x" },
          { type: "b", value: "x" },
        ],
      },
      "selector types must be the same when store SVID is enabled",
    ],
    [
      "a stored SVID without prefetch",
      { storeSvid: true, additionalAttributes: { disableX509SvidPrefetch: true, jwtSvidIncludeJti: false } },
      "specifying cache behaviour is incompatible with storable SVIDs",
    ],
  ])("with %s is refused", async (_what, change, why) => {
    const server = await startServer();
    const [wrong, right] = await create(server, message(change), message({ spiffeId: spiffeId("/right") }));
    expect(wrong?.status?.code).toBe(GrpcCode.INVALID_ARGUMENT);
    expect(wrong?.status?.message).toMatch(/^failed to convert entry: /);
    expect(wrong?.status?.message).toContain(why);
    expect(wrong?.entry).toBeUndefined();
    // The rest of the batch goes on.
    expect(right?.status?.code).toBe(GrpcCode.OK);
    expect(await server.store.entries.count({})).toBe(1);
  });

  test("needs the bundle of whom it federates with", async () => {
    const server = await startServer();
    const [result] = await create(server, message({ federatesWith: ["other.org"] }));
    expect(result?.status).toEqual({
      code: GrpcCode.FAILED_PRECONDITION,
      message: 'failed to create entry: unable to find federated bundle "other.org"',
    });
  });

  test("may be an alias, and hang on another entry", async () => {
    const server = await startServer();
    const results = await create(
      server,
      message({ parentId: spiffeId("/spire/server"), spiffeId: spiffeId("/fleet") }),
      message({ parentId: spiffeId("/fleet") }),
    );
    expect(results.map(({ status }) => status?.code)).toEqual([0, 0]);
  });
});

describe("an update", () => {
  async function setup() {
    const server = await startServer();
    const [made] = await create(server, message({ id: "e", hint: "old", x509SvidTtl: 60, dnsNames: ["a"] }));
    const update = async (change: Partial<Entry>, inputMask?: EntryMask, outputMask?: EntryMask) => {
      const entries = [{ ...Entry.fromPartial({}), id: "e", ...change }];
      const { results } = await call(server.admin, EntryService.batchUpdateEntry, { entries, inputMask, outputMask });
      return results[0];
    };
    return { server, made: made?.entry, update };
  }

  test("with a mask changes what it names and nothing else", async () => {
    const { update, made } = await setup();
    const result = await update({ hint: "new", admin: true }, EntryMask.fromPartial({ hint: true }));
    expect(result).toEqual({ status: { code: 0, message: "OK" }, entry: { ...made, hint: "new", revisionNumber: 1n } });
  });

  test("without a mask replaces everything", async () => {
    const { update, made } = await setup();
    const result = await update(message({ id: "e", spiffeId: spiffeId("/new") }));
    expect(result?.entry).toEqual({
      ...made,
      spiffeId: spiffeId("/new"),
      hint: "",
      x509SvidTtl: 0,
      dnsNames: [],
      revisionNumber: 1n,
    });
  });

  test("answers what the output mask names", async () => {
    const { update } = await setup();
    const result = await update(
      { hint: "new" },
      EntryMask.fromPartial({ hint: true }),
      EntryMask.fromPartial({ hint: true }),
    );
    expect(result?.entry).toEqual({ ...Entry.fromPartial({}), id: "e", hint: "new" });
  });

  test("of different fields at the same time loses neither", async () => {
    const { update, server } = await setup();
    await Promise.all([
      update({ hint: "new" }, EntryMask.fromPartial({ hint: true })),
      update({ x509SvidTtl: 99 }, EntryMask.fromPartial({ x509SvidTtl: true })),
    ]);
    expect(await server.store.entries.get("e")).toMatchObject({ hint: "new", x509SvidTtl: 99, revision: 2n });
  });

  test("of nothing that exists is NOT_FOUND", async () => {
    const { update } = await setup();
    expect(await update({ id: "none", hint: "x" }, EntryMask.fromPartial({ hint: true }))).toEqual({
      status: { code: GrpcCode.NOT_FOUND, message: "failed to update entry" },
      entry: undefined,
    });
  });

  test("keeps the rules", async () => {
    const { update, server } = await setup();
    const refused = async (change: Partial<Entry>, mask: Partial<EntryMask>) =>
      (await update(change, EntryMask.fromPartial(mask)))?.status;
    expect(await refused({ selectors: [] }, { selectors: true })).toMatchObject({
      code: GrpcCode.INVALID_ARGUMENT,
      message: "failed to convert entry: selector list is empty",
    });
    expect((await refused({ id: "" }, { hint: true }))?.code).toBe(GrpcCode.INVALID_ARGUMENT);
    // Rules between what is changed and what stays.
    await update(
      { additionalAttributes: { disableX509SvidPrefetch: true, jwtSvidIncludeJti: true } },
      EntryMask.fromPartial({ additionalAttributes: true }),
    );
    expect(await refused({ storeSvid: true }, { storeSvid: true })).toMatchObject({ code: GrpcCode.INVALID_ARGUMENT });
    await create(server, message({ id: "other", spiffeId: spiffeId("/other") }));
    expect(await refused({ spiffeId: spiffeId("/other") }, { spiffeId: true })).toMatchObject({
      code: GrpcCode.ALREADY_EXISTS,
    });
  });
});

test("entries are deleted, each with its own outcome", async () => {
  const server = await startServer();
  await create(server, message({ id: "e" }));
  const { results } = await call(server.admin, EntryService.batchDeleteEntry, { ids: ["e", "e", ""] });
  expect(results).toEqual([
    { id: "e", status: { code: 0, message: "OK" } },
    { id: "e", status: { code: GrpcCode.NOT_FOUND, message: "entry not found" } },
    { id: "", status: { code: GrpcCode.INVALID_ARGUMENT, message: "missing entry ID" } },
  ]);
});

test("an entry is got by its ID", async () => {
  const server = await startServer();
  await create(server, message({ id: "e", hint: "h" }));
  const outputMask = EntryMask.fromPartial({ spiffeId: true });
  expect(await call(server.admin, EntryService.getEntry, { id: "e", outputMask })).toEqual({
    ...Entry.fromPartial({}),
    id: "e",
    spiffeId: spiffeId("/web"),
  });
  const get = (wanted: string) => failure(call(server.admin, EntryService.getEntry, { id: wanted, outputMask }));
  expect(await get("")).toMatchObject({ code: GrpcCode.INVALID_ARGUMENT, details: "missing ID" });
  expect(await get("none")).toMatchObject({ code: GrpcCode.NOT_FOUND, details: "entry not found" });
});

describe("the list", () => {
  const FILTER = {
    bySpiffeId: undefined,
    byParentId: undefined,
    bySelectors: undefined,
    byFederatesWith: undefined,
    byHint: undefined,
    byDownstream: undefined,
  };

  async function setup() {
    const server = await startServer();
    await server.store.bundles.set(bundle(parseTrustDomain("other.org")));
    await server.store.entries.create(entry("a", { hint: "h" }));
    await server.store.entries.create(entry("b", { parentId: id("/a"), downstream: true }));
    await server.store.entries.create(entry("c", { federatesWith: [parseTrustDomain("other.org")] }));
    const request = (filter: object, page: object = {}) => ({
      filter: { ...FILTER, ...filter },
      outputMask: undefined,
      pageSize: 0,
      pageToken: "",
      ...page,
    });
    const list = async (filter: object) => {
      const { entries } = await call(server.admin, EntryService.listEntries, request(filter));
      const { count } = await call(server.admin, EntryService.countEntries, { filter: { ...FILTER, ...filter } });
      expect(count).toBe(entries.length);
      return entries.map(({ id: entryId }) => entryId).join("");
    };
    return { server, list, request };
  }

  test("may be asked by conditions, all of which must hold", async () => {
    const { list } = await setup();
    expect(await list({})).toBe("abc");
    expect(await list({ bySpiffeId: spiffeId("/b") })).toBe("b");
    expect(await list({ byParentId: spiffeId("/a") })).toBe("b");
    expect(await list({ byHint: "h" })).toBe("a");
    expect(await list({ byHint: "" })).toBe("abc");
    expect(await list({ byDownstream: true })).toBe("b");
    expect(await list({ byDownstream: false })).toBe("abc");
    expect(await list({ byFederatesWith: { trustDomains: ["spiffe://other.org"], match: 0 } })).toBe("c");
    expect(await list({ bySelectors: { selectors: [{ type: "unix", value: "uid:1000" }], match: 0 } })).toBe("abc");
    expect(await list({ byHint: "h", byDownstream: true })).toBe("");
  });

  test("comes in pages when asked for", async () => {
    const { server, request } = await setup();
    const first = await call(server.admin, EntryService.listEntries, request({}, { pageSize: 2 }));
    expect(first.entries).toHaveLength(2);
    const next = request({}, { pageSize: 2, pageToken: first.nextPageToken });
    expect(await call(server.admin, EntryService.listEntries, next)).toMatchObject({
      entries: [{ id: "c" }],
      nextPageToken: "",
    });
  });

  test.each([
    [{ bySpiffeId: spiffeId("/spire/x") }, "malformed SPIFFE ID filter: "],
    [{ byParentId: spiffeId("/x", "other.org") }, "malformed parent ID filter: "],
    [{ bySelectors: { selectors: [], match: 0 } }, "malformed selectors filter: empty selector set"],
    [
      { bySelectors: { selectors: [{ type: "", value: "x" }], match: 0 } },
      "malformed selectors filter: missing selector type",
    ],
    [{ byFederatesWith: { trustDomains: [], match: 0 } }, "malformed federates with filter: empty trust domain set"],
    [{ byFederatesWith: { trustDomains: ["A"], match: 0 } }, "malformed federates with filter: "],
  ])("is not asked by %j", async (filter, why) => {
    const { server, request } = await setup();
    for (const asked of [
      call(server.admin, EntryService.listEntries, request(filter)),
      call(server.admin, EntryService.countEntries, { filter: { ...FILTER, ...(filter as object) } }),
    ]) {
      const refused = await failure(asked);
      expect(refused.code).toBe(GrpcCode.INVALID_ARGUMENT);
      expect(refused.details).toContain(why);
    }
  });
});

test("a message over the limit is refused, and the connection lives on", async () => {
  const server = await startServer();
  const entries = [message({ hint: "x".repeat(5 * 1024 * 1024) })];
  const refused = await failure(call(server.admin, EntryService.batchCreateEntry, { entries, outputMask: undefined }));
  expect(refused.code).toBe(GrpcCode.RESOURCE_EXHAUSTED);
  expect((await create(server, message()))[0]?.status?.code).toBe(0);
});

test("each item of a batch has its line in the audit log, without selectors", async () => {
  const server = await startServer({ options: { auditLog: true } });
  await create(server, message({ id: "e" }), message({ id: "f", selectors: [] }));
  const audits = server.lines.filter(({ message: text }) => text === "API accessed").map(({ fields }) => fields);
  // In the order in which the items were done.
  audits.sort((a, b) => String(a.entry_id).localeCompare(String(b.entry_id)));
  expect(audits).toMatchObject([
    { method: "BatchCreateEntry", entry_id: "e", spiffe_id: "spiffe://example.org/web", status: "success" },
    { method: "BatchCreateEntry", entry_id: "f", status: "error", status_code: "InvalidArgument" },
  ]);
  expect(JSON.stringify(audits)).not.toContain("uid:1000");
  // Also the ID that the server chose.
  const [made] = await create(server, message({ spiffeId: spiffeId("/unnamed") }));
  expect(server.lines.at(-1)?.fields).toMatchObject({ entry_id: made?.entry?.id });
});

function many<T>(make: (index: number) => T): T[] {
  return Array.from({ length: 1_001 }, (_, index) => make(index));
}
