/** What every RPC answers to what no client should send: over real sockets, code and message as they are documented. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { adminFileDescriptors, fileDescriptors } from "../../../src/gen/descriptors.ts";
import { readProtoFile } from "../../../src/workload-api/symbols.ts";
import { AdminHarness, FakeAgent } from "../../agent-admin/harness.ts";
import { ApiHarness, FakeSource, identityOf, updateOf } from "../harness.ts";
import { SDS } from "../sds/support.ts";
import { framed, type RawCall, RawClient } from "./raw-client.ts";
import { RPCS, type Rpc } from "./rpcs.ts";

const HEADER = { "workload.spiffe.io": "true" };
const INVALID = "3 request is no valid message";

const source = new FakeSource();
const agent = new FakeAgent();
let workload: ApiHarness;
let admin: AdminHarness;
let clients: Readonly<Record<Rpc["socket"], RawClient>>;

beforeAll(async () => {
  source.everybody.set(updateOf([identityOf("a")]));
  workload = await ApiHarness.open(source, { sds: SDS });
  admin = await AdminHarness.open(agent);
});
beforeEach(() => {
  clients = { workload: new RawClient(workload.path), admin: new RawClient(admin.path) };
  return () => {
    for (const client of Object.values(clients)) client[Symbol.dispose]();
  };
});
afterAll(async () => {
  await workload?.[Symbol.asyncDispose]();
  await admin?.[Symbol.asyncDispose]();
});

/** With the security header where it is asked for, unless the call says otherwise. */
function ask({ socket, path, header, good }: Rpc, call: RawCall = {}): Promise<string> {
  return clients[socket].call(path, {
    data: [framed(good)],
    ...call,
    headers: { ...(header ? HEADER : {}), ...call.headers },
  });
}

test("every method that reflection tells of has its row", () => {
  for (const [socket, descriptors, services] of [
    ["workload", fileDescriptors, /^(SpiffeWorkloadAPI|envoy\.service\.secret\.v3|grpc\.health|grpc\.reflection)/],
    ["admin", adminFileDescriptors, /^(spire\.agent|spire\.api\.agent|holdfast\.agent|grpc\.reflection)/],
  ] as const) {
    const symbols = [...descriptors].flatMap(([name, bytes]) => readProtoFile(name, bytes).symbols);
    const rows = RPCS.filter((rpc) => rpc.socket === socket).map(({ path }) => path.slice(1).replace("/", "."));
    const names = new Set(rows.map((row) => row.slice(0, row.lastIndexOf("."))));
    const methods = symbols.filter((symbol) => names.has(symbol.slice(0, symbol.lastIndexOf("."))));
    expect(rows.toSorted()).toEqual(methods.toSorted());
    expect([...names].filter((name) => !services.test(name))).toEqual([]);
    expect(methods.length).toBeGreaterThan(10);
  }
});

describe.each(RPCS.map((rpc) => [`${rpc.socket} ${rpc.path}`, rpc] as const))("%s", (_name, rpc) => {
  const orNotBuilt = (answer: string): string => rpc.notBuilt ?? answer;
  /** What a method does not come to that is not registered. */
  const registered = rpc.notBuilt?.includes("server does not implement") !== true;

  test("a good request", async () => {
    expect(await ask(rpc)).toBe(rpc.answer);
  });

  test.each([
    ["missing", undefined],
    ["empty", ""],
    ["another value", "false"],
    ["in other case", "True"],
    ["twice", ["true", "true"]],
    ["twice, once wrong", ["true", "false"]],
    ["twice in one", "true, true"],
    ["with more behind it", "true;"],
  ])("security header: %s (EP-05)", async (_what, value) => {
    const attested = source.peers.length;
    const answer = await ask(rpc, { headers: { "workload.spiffe.io": value } });
    expect(answer).toBe(rpc.header ? "3 security header missing from request" : rpc.answer);
    if (rpc.header) expect(source.peers.length).toBe(attested);
  });

  test.each([
    ["that ends early", Buffer.from([0x0a, 0x05, 0x01])],
    ["with a field number of zero", Buffer.from([0x00, 0x01])],
    ["with the end of no group", Buffer.from([0x0c, 0x01])],
    ["with a type of field that does not exist", Buffer.from([0x0f])],
    ["with a number that does not end", Buffer.alloc(20, 0xff)],
    ["of groups in groups", Buffer.alloc(60_000, 0x0b)],
  ])("a message %s", async (_what, bytes) => {
    expect(await ask(rpc, { data: [framed(bytes)] })).toBe(orNotBuilt(INVALID));
  });

  test.each([
    ["a byte that begins nothing", [0x61, 0xff]],
    ["half a character", [0x61, 0xe2, 0x82]],
    ["a surrogate", [0xed, 0xa0, 0x80]],
    ["a longer form than needed", [0xc0, 0xaf]],
  ])("texts that are not UTF-8: %s", async (_what, bytes) => {
    for (const request of rpc.texts) {
      expect(await ask(rpc, { data: [framed(request(Buffer.from(bytes)))] })).toBe(orNotBuilt(INVALID));
    }
  });

  test("a message that is too long", async () => {
    const { maxRequest } = rpc;
    for (const length of [maxRequest + 1, 2 ** 32 - 1]) {
      expect(await ask(rpc, { data: [framed(Buffer.alloc(10), 0, length)], last: false })).toBe(
        registered ? `8 received message larger than max (${length} vs. ${maxRequest})` : rpc.answer,
      );
    }
  });

  test("compression, announced or not", async () => {
    expect(await ask(rpc, { data: [framed(rpc.good, 1)] })).toBe(
      registered ? "13 compressed flag set with identity or empty encoding" : rpc.answer,
    );
    for (const encoding of ["gzip", "deflate", "zip"]) {
      expect(await ask(rpc, { headers: { "grpc-encoding": encoding }, data: [framed(rpc.good, 1)] })).toBe(
        registered ? "12 compressed requests are not accepted" : rpc.answer,
      );
    }
  });

  test("no gRPC: another content type, another HTTP method", async () => {
    for (const type of ["application/json", "text/plain", undefined]) {
      expect(await ask(rpc, { headers: { "content-type": type } })).toBe("HTTP 415");
    }
    for (const method of ["GET", "PUT"]) {
      expect(await ask(rpc, { headers: { ":method": method } })).toBe(
        registered ? `13 HTTP method is ${method}, not POST` : rpc.answer,
      );
    }
  });

  test("no message, half a message, two messages", async () => {
    if (rpc.kind === "bidi") {
      expect(await ask(rpc, { data: [] })).toBe("0");
      expect(await ask(rpc, { data: [framed(rpc.good, 0, 100)] })).toBe("0");
      return;
    }
    const none = registered ? "12 method takes a request message" : rpc.answer;
    expect(await ask(rpc, { data: [] })).toBe(none);
    expect(await ask(rpc, { data: [framed(rpc.good, 0, 100)] })).toBe(none);
    expect(await ask(rpc, { data: [framed(rpc.good), framed(rpc.good)] })).toBe(
      registered ? "12 method takes a single request message" : rpc.answer,
    );
  });

  test("more metadata than a call may hold", async () => {
    const headers = { "x-a": "x".repeat(5_000), "x-b": "x".repeat(5_000) };
    expect(await ask(rpc, { headers })).toBe(registered ? "8 metadata is too long" : rpc.answer);
  });
});

test.each([
  ["workload", "/SpiffeWorkloadAPI/FetchX509SVIDs"],
  ["workload", "/SpiffeWorkloadAPI/"],
  ["workload", "/spiffeworkloadapi/FetchX509SVID"],
  ["workload", "/spiffe.workload.SpiffeWorkloadAPI/FetchX509SVID"],
  ["workload", "/spire.agent.debug.v1.Debug/GetInfo"],
  ["workload", "/__proto__/constructor"],
  ["workload", "/"],
  ["admin", "/SpiffeWorkloadAPI/FetchX509SVID"],
  ["admin", "/grpc.health.v1.Health/Check"],
] as const)("on the %s socket there is no %s", async (socket, path) => {
  expect(await clients[socket].call(path, { headers: HEADER })).toBe(
    `12 The server does not implement the method ${path}`,
  );
});

test("after all that both sockets serve, and nothing is counted as a fault of ours", async () => {
  expect(workload.api.stats.calls).toBe(0);
  expect([...workload.log.lines, ...admin.log.lines].filter(({ level }) => level === "error")).toEqual([]);
});
