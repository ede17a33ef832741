/** Many delegates at once: all get the newest, one that does not read holds up nobody, and what is held is bounded. */
import { generateKeyPairSync } from "node:crypto";
import http2 from "node:http2";
import net from "node:net";
import { type ClientReadableStream, credentials, status as Status } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import {
  DelegatedIdentityClient,
  type SubscribeToX509BundlesResponse,
  SubscribeToX509SVIDsRequest,
  SubscribeToX509SVIDsResponse,
} from "../../src/gen/spire/api/agent/delegatedidentity/v1/delegatedidentity.ts";
import { until } from "../lib/rpc/harness.ts";
import { bundleOf, identityOf, Reader, updateOf } from "../workload-api/harness.ts";
import { AdminHarness, ask, FakeAgent } from "./harness.ts";

const WEB = { selectors: [{ type: "unix", value: "uid:7" }], pid: 0 };
const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });

/** A client with a connection of its own. */
function connect({ path }: AdminHarness) {
  const client = new DelegatedIdentityClient(`unix://${path}`, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
  });
  return Object.assign(client, { [Symbol.dispose]: () => client.close() });
}

const round = ({ x509Svids }: SubscribeToX509SVIDsResponse): number =>
  Number(Buffer.from(x509Svids[0]?.x509Svid?.certChain[0] ?? []).toString());
const rootRound = ({ caCertificates }: SubscribeToX509BundlesResponse): number =>
  Number(Buffer.from(caCertificates["spiffe://example.org"] ?? []).toString());

function framed(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** Where the first message ends, be it there or not. */
function messageEnd(bytes: Buffer): number {
  return bytes.length < 5 ? Number.POSITIVE_INFINITY : 5 + bytes.readUInt32BE(1);
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

test("four hundred streams get the newest of fifty updates, each encoded once", async () => {
  let exports = 0;
  const key = new Proxy(privateKey, {
    get(target, name) {
      if (name === "export") exports++;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const agent = new FakeAgent();
  const update = (number: number): void => {
    agent.cell("unix:uid:7").set(updateOf([identityOf("web", { chain: [String(number)], key })]));
    agent.bundles.set({ ...agent.bundles.value, bundle: bundleOf("example.org", String(number)) });
  };
  update(0);
  await using harness = await AdminHarness.open(agent);
  const seen: number[][] = [];
  const streams: ClientReadableStream<unknown>[] = [];
  using clients = new DisposableStack();
  for (let connection = 0; connection < 4; connection++) {
    const client = clients.use(connect(harness));
    for (let index = 0; index < 50; index++) {
      const svids: number[] = [];
      const bundles: number[] = [];
      seen.push(svids, bundles);
      streams.push(
        client.subscribeToX509SviDs(WEB).on("data", (message) => svids.push(round(message))),
        client.subscribeToX509Bundles({}).on("data", (message) => bundles.push(rootRound(message))),
      );
    }
  }
  for (const stream of streams) stream.on("error", () => {});
  await until(() => seen.every(({ length }) => length === 1));
  for (let number = 1; number <= 50; number++) {
    update(number);
    await turns(1);
  }
  await until(() => seen.every((numbers) => numbers.at(-1) === 50));
  for (const numbers of seen) expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
  expect(exports).toBeLessThanOrEqual(51);
  for (const stream of streams) stream.cancel();
  await until(() => agent.cell("unix:uid:7").readers === 0 && agent.bundles.readers === 0);
});

test("a delegate that does not read costs two messages, and the others nothing", async () => {
  const agent = new FakeAgent();
  const update = (number: number): void => {
    const padding = "x".repeat(500_000);
    agent.cell("unix:uid:7").set(updateOf([identityOf("web", { chain: [String(number), padding] })]));
  };
  update(0);
  await using harness = await AdminHarness.open(agent);
  using quick = connect(harness);
  const slow = http2.connect("http://localhost", { createConnection: () => net.connect(harness.path) });
  const stream = slow.request({
    ":method": "POST",
    ":path": "/spire.api.agent.delegatedidentity.v1.DelegatedIdentity/SubscribeToX509SVIDs",
    "content-type": "application/grpc",
    te: "trailers",
  });
  stream.end(framed(SubscribeToX509SVIDsRequest.encode(WEB).finish()));
  await until(() => agent.cell("unix:uid:7").readers === 1);
  const reader = new Reader(quick.subscribeToX509SviDs(WEB));
  expect(round(await reader.next())).toBe(0);
  for (let number = 1; number <= 40; number++) {
    update(number);
    expect(round(await reader.next())).toBe(number);
  }
  const { status } = harness;
  expect(await ask((request, callback) => status.getStatus(request, callback), { maxIdentities: 0 })).toMatchObject({
    version: "1.2.3",
  });
  const late: number[] = [];
  let bytes = Buffer.alloc(0);
  for await (const chunk of stream) {
    bytes = Buffer.concat([bytes, chunk as Buffer]);
    for (let end = messageEnd(bytes); bytes.length >= end; end = messageEnd(bytes)) {
      late.push(round(SubscribeToX509SVIDsResponse.decode(bytes.subarray(5, end))));
      bytes = bytes.subarray(end);
    }
    if (late.at(-1) === 40) break;
  }
  expect(late.length).toBeLessThanOrEqual(3);
  slow.destroy();
  reader.cancel();
});

test("one call too many is refused, and ends no other", async () => {
  const agent = new FakeAgent();
  agent.cell("unix:uid:7").set(updateOf([identityOf("web", { chain: ["0"] })]));
  await using harness = await AdminHarness.open(agent);
  using first = connect(harness);
  using second = connect(harness);
  const streams = Array.from({ length: 500 }, (_, index) => {
    return new Reader((index < 300 ? first : second).subscribeToX509SviDs(WEB));
  });
  for (const stream of streams) expect(round(await stream.next())).toBe(0);
  expect(await new Reader(second.subscribeToX509SviDs(WEB)).end()).toBe(`${Status.UNAVAILABLE} too many calls`);
  agent.cell("unix:uid:7").set(updateOf([identityOf("web", { chain: ["1"] })]));
  for (const stream of streams) expect(round(await stream.next())).toBe(1);
  streams[0]?.cancel();
  await expect
    .poll(async () => {
      const stream = new Reader(second.subscribeToX509SviDs(WEB));
      try {
        return round(await stream.next());
      } catch {
        return undefined;
      }
    })
    .toBe(1);
});
