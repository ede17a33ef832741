/** Secret discovery on a real socket, with a gRPC client in Envoy's place. */
import { generateKeyPairSync } from "node:crypto";
import { realpathSync } from "node:fs";
import { type ClientDuplexStream, credentials, type ServiceError, status as Status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryRequest as DeltaRequest,
  DiscoveryRequest,
  DiscoveryResponse,
} from "../../../src/gen/envoy/service/discovery/v3/discovery.ts";
import { SecretDiscoveryServiceClient } from "../../../src/gen/envoy/service/secret/v3/sds.ts";
import { ServerReflectionClient } from "../../../src/gen/grpc/reflection/v1/reflection.ts";
import { AgentError } from "../../../src/lib/errors.ts";
import { defaultLimits } from "../../../src/workload-api/limits.ts";
import type { WorkloadUpdate } from "../../../src/workload-api/ports.ts";
import { SECRET_TYPE } from "../../../src/workload-api/sds/requests.ts";
import { until } from "../../lib/rpc/harness.ts";
import { ApiHarness, FakeSource, header, identityOf, Reader, updateOf } from "../harness.ts";
import { Relay, RelayProgram } from "../relay.ts";
import { read, SDS } from "./support.ts";

type Fields = Parameters<typeof DiscoveryRequest.fromPartial>[0];
const SVID = "default: leaf of a|intermediate, key";
const STREAM = "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets";

/** One stream of secrets. */
class Stream {
  readonly raw: ClientDuplexStream<DiscoveryRequest, DiscoveryResponse>;
  readonly #reader: Reader<DiscoveryResponse>;
  last: DiscoveryResponse | undefined;

  constructor(client: SecretDiscoveryServiceClient) {
    this.raw = client.streamSecrets();
    this.#reader = new Reader(this.raw);
  }

  ask(fields: Fields): void {
    this.raw.write(DiscoveryRequest.fromPartial({ typeUrl: SECRET_TYPE, ...fields }));
  }

  /** Takes the last answer, or refuses it. */
  ack(fields: Fields = {}): void {
    const { versionInfo, nonce } = this.last ?? { versionInfo: "", nonce: "" };
    this.ask({ versionInfo, responseNonce: nonce, ...fields });
  }

  /** Version and secrets of the next answer. */
  async next(): Promise<string> {
    this.last = await this.#reader.next();
    return `${this.last.versionInfo}: ${this.last.resources.map(read).join("; ")}`;
  }

  end(): Promise<string> {
    return this.#reader.end();
  }

  get waiting(): number {
    return this.#reader.waiting;
  }
}

async function start(
  update: WorkloadUpdate = updateOf([identityOf("a")]),
  options: Parameters<typeof ApiHarness.open>[1] = {},
) {
  const source = new FakeSource();
  source.everybody.set(update);
  const harness = await ApiHarness.open(source, { sds: SDS, ...options });
  const clients: SecretDiscoveryServiceClient[] = [];
  const client = (): SecretDiscoveryServiceClient => {
    const made = new SecretDiscoveryServiceClient(`unix://${harness.path}`, credentials.createInsecure(), {
      "grpc.use_local_subchannel_pool": 1,
    });
    clients.push(made);
    return made;
  };
  return {
    source,
    harness,
    client,
    stream: () => new Stream(client()),
    fetch: (fields: Fields): Promise<DiscoveryResponse | string> =>
      new Promise((resolve) =>
        client().fetchSecrets(
          DiscoveryRequest.fromPartial({ typeUrl: SECRET_TYPE, ...fields }),
          (error: ServiceError | null, response) =>
            resolve(error === null ? response : `${error.code} ${error.details}`),
        ),
      ),
    async [Symbol.asyncDispose]() {
      for (const made of clients) made.close();
      await harness[Symbol.asyncDispose]();
    },
  };
}

describe("StreamSecrets", () => {
  test("needs no security header; a rotation is pushed, with nonces of eight hexadecimal digits", async () => {
    await using api = await start();
    const stream = api.stream();
    stream.ask({ resourceNames: ["default"] });
    expect(await stream.next()).toBe(`1: ${SVID}`);
    expect(stream.last?.nonce).toMatch(/^[0-9a-f]{8}$/);
    const first = stream.last?.nonce;
    stream.ack({ resourceNames: ["default"] });
    api.source.everybody.set(updateOf([identityOf("a", { chain: ["new"] })]));
    expect(await stream.next()).toBe("2: default: new, key");
    expect(stream.last?.nonce).not.toBe(first);
    expect(stream.waiting).toBe(0);
  });

  test("one attestation for a stream, however much is asked", async () => {
    await using api = await start();
    const stream = api.stream();
    for (const name of ["default", "ROOTCA", "ALL"]) {
      stream.ack({ resourceNames: [name] });
      await stream.next();
    }
    expect(api.source.peers).toHaveLength(1);
    expect(api.harness.api.stats).toMatchObject({ streams: 1, sdsStreams: 1 });
  });

  test("a request that comes before the attestation has ended is answered after it", async () => {
    await using api = await start();
    const attested = Promise.withResolvers<[]>();
    api.source.attested = () => attested.promise;
    const stream = api.stream();
    stream.ask({ resourceNames: ["default"] });
    await until(() => api.source.peers.length === 1);
    expect(stream.waiting).toBe(0);
    attested.resolve([]);
    expect(await stream.next()).toBe(`1: ${SVID}`);
  });

  test("a failed attestation is UNAVAILABLE", async () => {
    await using api = await start();
    api.source.attested = async () => {
      throw new AgentError("UNAVAILABLE", "no attestor", { publicMessage: "workload attestation failed" });
    };
    const stream = api.stream();
    stream.ask({ resourceNames: ["default"] });
    expect(await stream.end()).toBe(`${Status.UNAVAILABLE} workload attestation failed`);
    expect(await api.fetch({ resourceNames: ["default"] })).toBe(`${Status.UNAVAILABLE} workload attestation failed`);
  });

  test("unknown names and types end it INVALID_ARGUMENT", async () => {
    await using api = await start();
    const names = api.stream();
    names.ask({ resourceNames: ["default", "spiffe://example.org/b"] });
    expect(await names.end()).toBe(
      `${Status.INVALID_ARGUMENT} workload is not authorized for the requested identities ["spiffe://example.org/b"]`,
    );
    const types = api.stream();
    types.ask({ typeUrl: "type.googleapis.com/x" });
    expect(await types.end()).toBe(`${Status.INVALID_ARGUMENT} unsupported resource type "type.googleapis.com/x"`);
    await until(() => api.harness.api.stats.streams === 0);
    expect(api.source.everybody.readers).toBe(0);
  });

  test("the caller's end or reset ends it without a word in the log; an answer that is due comes first", async () => {
    await using api = await start();
    const ended = api.stream();
    ended.ask({ resourceNames: ["default"] });
    ended.raw.end();
    expect(await ended.next()).toBe(`1: ${SVID}`);
    await until(() => api.harness.api.stats.streams === 0);
    const silent = api.stream();
    await until(() => api.harness.api.stats.streams === 1);
    silent.raw.end();
    await until(() => api.harness.api.stats.streams === 0);
    const reset = api.stream();
    reset.ask({ resourceNames: ["default"] });
    await reset.next();
    reset.raw.cancel();
    await until(() => api.harness.api.stats.streams === 0);
    expect(api.source.everybody.readers).toBe(0);
    expect(api.harness.log.lines).toEqual([]);
  });

  test("a NACK loop is read slowly, answered with nothing and logged a little; the stream lives on", async () => {
    await using api = await start();
    const stream = api.stream();
    stream.ask({ resourceNames: ["default"] });
    await stream.next();
    const errorDetail = { code: 3, message: "cannot load" };
    const began = performance.now();
    for (let i = 0; i < 60; i++) stream.ack({ versionInfo: "0", resourceNames: ["default"], errorDetail });
    stream.ack({ resourceNames: ["ROOTCA"] });
    expect(await stream.next()).toMatch(/^1: ROOTCA/);
    expect(performance.now() - began).toBeGreaterThan(900);
    expect(stream.waiting).toBe(0);
    const lines = api.harness.log.lines.filter(({ message }) => message === "Envoy could not apply secrets");
    expect(lines).toHaveLength(30);
    expect(lines[0]?.fields).toMatchObject({
      resource_names: ["default"],
      error: "cannot load",
      caller_uid: process.getuid?.(),
    });
  });

  test("a complaint that may quote a key is not logged", async () => {
    await using api = await start();
    const stream = api.stream();
    stream.ask({ resourceNames: ["default"] });
    await stream.next();
    const message = 'invalid: private_key { inline_bytes: "-----BEGIN PRIVATE KEY-----" }';
    stream.ack({ versionInfo: "", resourceNames: ["ROOTCA"], errorDetail: { code: 3, message } });
    await stream.next();
    expect(JSON.stringify(api.harness.log.lines)).not.toContain("PRIVATE KEY");
    expect(api.harness.log.lines[0]?.fields).toMatchObject({ error: "not shown, for it may hold a secret" });
  });

  test("a client that never reads costs two answers however much changes, and then gets the newest", async () => {
    await using api = await start(updateOf([identityOf("a", { chain: ["0".repeat(500_000)] })]));
    const seen: string[] = [];
    const raw = api.client().streamSecrets();
    raw.on("error", () => {});
    raw.pause();
    raw.write(DiscoveryRequest.fromPartial({ resourceNames: ["default"] }));
    await until(() => api.source.everybody.readers === 1);
    for (let i = 1; i < 40; i++) {
      api.source.everybody.set(updateOf([identityOf("a", { chain: [String(i).padStart(500_000, "x")] })]));
      for (let turns = 0; turns < 3; turns++) await new Promise((resolve) => setImmediate(resolve));
    }
    raw.on("data", ({ resources }: DiscoveryResponse) => seen.push(read(resources[0]).slice(-7, -5)));
    raw.resume();
    await until(() => seen.at(-1) === "39");
    expect(seen.length).toBeLessThan(8);
  });

  test("a thousand streams share one encoding of a key", async () => {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    let exports = 0;
    const key = new Proxy(privateKey, {
      get(target, name) {
        if (name === "export") exports++;
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    await using api = await start(updateOf([identityOf("a", { key })]), { limits: defaultLimits(20_000) });
    const clients = Array.from({ length: 10 }, api.client);
    const streams = clients.flatMap((client) => Array.from({ length: 100 }, () => new Stream(client)));
    for (const stream of streams) stream.ask({ resourceNames: ["default"] });
    for (const stream of streams) expect(await stream.next()).toBe(`1: ${SVID}`);
    api.source.everybody.set(updateOf([identityOf("a", { chain: ["new"], key })]));
    for (const stream of streams) expect(await stream.next()).toBe("2: default: new, key");
    expect(exports).toBe(2);
  });
});

test("DeltaSecrets: what was subscribed, what changed, what was taken away", async () => {
  await using api = await start();
  const raw = api.client().deltaSecrets();
  const reader = new Reader<DeltaDiscoveryResponse>(raw);
  const say = (fields: Partial<DeltaDiscoveryRequest>) => raw.write(DeltaRequest.fromPartial(fields));
  const next = async () => {
    const { resources, removedResources } = await reader.next();
    return [...resources.map(({ resource }) => read(resource)), ...removedResources.map((name) => `-${name}`)];
  };
  say({ resourceNamesSubscribe: ["default", "spiffe://example.org/b"] });
  expect(await next()).toEqual([SVID, "-spiffe://example.org/b"]);
  api.source.everybody.set(updateOf([identityOf("a"), identityOf("b")]));
  expect(await next()).toEqual([SVID, "spiffe://example.org/b: leaf of b|intermediate, key"].slice(1));
  api.source.everybody.set(updateOf([identityOf("b")]));
  expect(await next()).toEqual(["default: leaf of b|intermediate, key"]);
  say({ typeUrl: "x" });
  expect(await reader.end()).toBe(`${Status.INVALID_ARGUMENT} unsupported resource type "x"`);
});

test("DeltaSecrets: a client that reads slowly misses nothing", async () => {
  const names = ["a", "b", "c", "d"];
  const long = (content: string) =>
    updateOf(names.map((name) => identityOf(name, { chain: [content.padStart(300_000, "x")] })));
  await using api = await start(long("first"));
  const raw = api.client().deltaSecrets();
  raw.on("error", () => {});
  raw.pause();
  raw.write(DeltaRequest.fromPartial({ resourceNamesSubscribe: names.map((name) => `spiffe://example.org/${name}`) }));
  await until(() => api.source.everybody.readers === 1);
  // One after the other changes, so that an answer that was replaced by the next would be lost.
  const last = long("last");
  for (let count = 1; count <= names.length; count++) {
    const identities = long("first").identities.map((identity, index) =>
      index < count ? (last.identities[index] ?? identity) : identity,
    );
    api.source.everybody.set(updateOf(identities));
    for (let turns = 0; turns < 5; turns++) await new Promise((resolve) => setImmediate(resolve));
  }
  const has = new Map<string, string>();
  raw.on("data", ({ resources }: DeltaDiscoveryResponse) => {
    for (const { name, resource } of resources) has.set(name, read(resource).slice(-9, -5));
  });
  raw.resume();
  await until(() => has.size === 4 && [...has.values()].every((content) => content === "last"));
});

describe("FetchSecrets", () => {
  test("answers once, and waits for SVIDs that are on their way", async () => {
    await using api = await start({ ...updateOf([]), pending: true });
    const answer = api.fetch({ resourceNames: ["default"] });
    await until(() => api.source.everybody.readers === 1);
    api.source.everybody.set(updateOf([identityOf("a")]));
    expect(await answer).toMatchObject({ versionInfo: "", nonce: "", typeUrl: SECRET_TYPE });
    await until(() => api.harness.api.stats.streams === 0);
  });

  test("unknown names, types and malformed requests are INVALID_ARGUMENT", async () => {
    await using api = await start();
    expect(await api.fetch({ resourceNames: ["x"] })).toMatch(/^3 workload is not authorized .* \["x"\]$/);
    expect(await api.fetch({ typeUrl: "x" })).toBe('3 unsupported resource type "x"');
    const identity = (bytes: Buffer): Buffer => bytes;
    const path = STREAM.replace("StreamSecrets", "FetchSecrets");
    const raw = new Reader(api.client().makeServerStreamRequest(path, identity, identity, Buffer.from([0x0a, 0xff])));
    expect(await raw.end()).toBe("3 request is no valid message");
  });
});

describe("the service", () => {
  const services = async (harness: ApiHarness): Promise<string> => {
    const client = new ServerReflectionClient(`unix://${harness.path}`, credentials.createInsecure());
    const stream = client.serverReflectionInfo();
    stream.write({ host: "", messageRequest: { $case: "listServices", value: "" } });
    stream.end();
    let text = "";
    for await (const response of stream) text += JSON.stringify(response);
    client.close();
    return text;
  };

  test("is listed by reflection, and stays without the Workload API", async () => {
    await using api = await start(updateOf([]), { disableWorkloadApi: true });
    expect(await services(api.harness)).toContain("SecretDiscoveryService");
    expect(await api.fetch({ resourceNames: ["ROOTCA"] })).toMatchObject({ typeUrl: SECRET_TYPE });
  });

  test("is UNIMPLEMENTED and not listed when it is disabled", async () => {
    const source = new FakeSource();
    await using harness = await ApiHarness.open(source);
    const client = new SecretDiscoveryServiceClient(`unix://${harness.path}`, credentials.createInsecure());
    for (const stream of [client.streamSecrets(), client.deltaSecrets()]) {
      expect(await new Reader<unknown>(stream).end()).toMatch(new RegExp(`^${Status.UNIMPLEMENTED} `));
    }
    expect(await services(harness)).not.toContain("SecretDiscoveryService");
    client.close();
  });
});

describe("bounds", () => {
  const node = (size: number) => ({ metadata: { padding: "x".repeat(size) } });

  test("requests may be 256 KiB, for Envoy's are large; those of other services keep their bound", async () => {
    await using api = await start();
    const stream = api.stream();
    stream.ask({ resourceNames: ["default"], node: node(250_000) });
    expect(await stream.next()).toBe(`1: ${SVID}`);
    stream.ack({ resourceNames: ["default"], node: node(256 * 1024) });
    expect(await stream.end()).toMatch(new RegExp(`^${Status.RESOURCE_EXHAUSTED} `));
    const workload = new Reader(
      api.harness.client().makeServerStreamRequest(
        "/SpiffeWorkloadAPI/FetchX509SVID",
        (message: Buffer) => message,
        (message) => message,
        Buffer.alloc(64 * 1024 + 1),
        header(),
      ),
    );
    expect(await workload.end()).toMatch(new RegExp(`^${Status.RESOURCE_EXHAUSTED} `));
  });

  test("so a stream counts as four calls of its user", async () => {
    await using api = await start(updateOf([identityOf("a")]), {
      limits: { ...defaultLimits(4000), maxCallsPerUid: 11 },
    });
    const streams = [api.stream(), api.stream()];
    for (const stream of streams) {
      stream.ask({ resourceNames: ["default"] });
      await stream.next();
    }
    expect(await api.stream().end()).toBe(`${Status.UNAVAILABLE} too many calls of this user`);
    expect(api.harness.api.stats).toMatchObject({ calls: 2, refusedCalls: 1 });
    for (const { raw } of streams) raw.cancel();
    await until(() => api.harness.api.stats.calls === 0);
    const again = api.stream();
    again.ask({ resourceNames: ["default"] });
    expect(await again.next()).toBe(`1: ${SVID}`);
  });
});

describe("a caller that is no longer what it was", () => {
  const sleep = realpathSync("/bin/sleep");
  const request = Buffer.from(
    DiscoveryRequest.encode(DiscoveryRequest.fromPartial({ resourceNames: ["default"] })).finish(),
  );
  const refused = { code: Status.UNAVAILABLE, text: "workload attestation failed" };
  let program: RelayProgram;
  beforeAll(() => {
    program = new RelayProgram();
  });
  afterAll(() => program[Symbol.dispose]());

  /** Calls, and resolves with the first answer and the end of the call. */
  async function call(relay: Relay) {
    const first = Promise.withResolvers<void>();
    const answers: string[] = [];
    const ended = relay.call(
      STREAM,
      request,
      (bytes) => {
        answers.push(DiscoveryResponse.decode(bytes).resources.map(read).join());
        first.resolve();
      },
      false,
    );
    await first.promise;
    return { answers, ended };
  }

  test("executes something else after the first answer: the next push is refused", async () => {
    await using api = await start();
    await using relay = await Relay.start(
      [program.path, api.harness.path, "SECOND", "exec", sleep, "60"],
      program.folder,
    );
    const { answers, ended } = await call(relay);
    relay.act();
    await relay.executes(sleep);
    api.source.everybody.set(updateOf([identityOf("b")]));
    expect(await ended).toEqual(refused);
    expect(answers).toEqual([SVID]);
    await relay.disconnected();
  });

  test("dies while its child holds the socket: the stream ends, and a push in between is refused", async () => {
    await using api = await start();
    await using relay = await Relay.start([program.path, api.harness.path, "SECOND", "stay"], program.folder);
    const { answers, ended } = await call(relay);
    relay.kill();
    await relay.exited();
    api.source.everybody.set(updateOf([identityOf("b")]));
    const { code, text } = await ended;
    expect([code, ["workload attestation failed", "caller has exited"].includes(text ?? "")]).toEqual([
      Status.UNAVAILABLE,
      true,
    ]);
    expect(answers).toEqual([SVID]);
  });
});
