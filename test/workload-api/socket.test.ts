/** The socket: who is let in, health and reflection. */
import { lstatSync, readdirSync } from "node:fs";
import net from "node:net";
import { type Client, credentials, type ServiceError, status as Status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { fileDescriptors } from "../../src/gen/descriptors.ts";
import { HealthCheckResponse_ServingStatus, HealthClient } from "../../src/gen/grpc/health/v1/health.ts";
import {
  ServerReflectionClient,
  type ServerReflectionRequest,
  type ServerReflectionResponse,
} from "../../src/gen/grpc/reflection/v1/reflection.ts";
import { ServerReflectionClient as AlphaReflectionClient } from "../../src/gen/grpc/reflection/v1alpha/reflection.ts";
import { defaultLimits, limitsFor } from "../../src/workload-api/limits.ts";
import { readProtoFile } from "../../src/workload-api/symbols.ts";
import { until } from "../lib/rpc/harness.ts";
import { Child } from "../native/support.ts";
import { ApiHarness, FakeSource, header, identityOf, Reader, updateOf } from "./harness.ts";

const root = process.geteuid?.() === 0;
const closed = (socket: net.Socket): Promise<unknown> => new Promise((resolve) => socket.on("close", resolve));
const limits = (more: Partial<ReturnType<typeof defaultLimits>>) => ({ ...defaultLimits(2000), ...more });

test("the API is gRPC on a Unix socket, and asks for no TLS (EP-01 to EP-03, EP-06, EP-16)", async () => {
  const source = new FakeSource();
  source.everybody.set(updateOf([identityOf("a")]));
  await using harness = await ApiHarness.open(source);
  expect(lstatSync(harness.path).isSocket()).toBe(true);
  expect(process.getActiveResourcesInfo()).not.toContain("TCPServerWrap");
  expect((await new Reader(harness.client().fetchX509Svid({}, header())).next()).svids).toHaveLength(1);
});

describe("who is let in", () => {
  test("default bounds: half of what files allow for one uid", () => {
    expect(defaultLimits(100_000)).toMatchObject({ maxConnections: 10_000, maxConnectionsPerUid: 5000 });
    expect(defaultLimits(Number.POSITIVE_INFINITY)).toMatchObject({ maxConnections: 10_000 });
    expect(defaultLimits(1024)).toMatchObject({ maxConnections: 62, maxConnectionsPerUid: 31 });
    expect(defaultLimits(256)).toMatchObject({ maxConnections: 2, maxConnectionsPerUid: 1 });
  });

  test("a chosen bound for one uid counts as it is; the default is half of all", () => {
    expect(limitsFor(9550, 9550)).toMatchObject({ maxConnections: 9550, maxConnectionsPerUid: 9550 });
    expect(limitsFor(50, 80)).toMatchObject({ maxConnections: 50, maxConnectionsPerUid: 50 });
    expect(limitsFor(50, 1)).toMatchObject({ maxConnectionsPerUid: 1 });
    expect(limitsFor(50)).toMatchObject({ maxConnectionsPerUid: 25 });
    expect(limitsFor(1)).toMatchObject({ maxConnectionsPerUid: 1 });
    expect(defaultLimits(20_000).maxConnections).toBeGreaterThanOrEqual(9550);
  });

  test("more connections of one uid than allowed are closed at once; one that goes makes room", async () => {
    await using harness = await ApiHarness.open(new FakeSource(), { limits: limits({ maxConnectionsPerUid: 2 }) });
    const sockets = [net.connect(harness.path), net.connect(harness.path)];
    await until(() => harness.api.stats.connections === 2);
    await closed(net.connect(harness.path));
    await closed(net.connect(harness.path));
    expect(harness.api.stats).toMatchObject({ connections: 2, refused: 2, refusedOverUid: 2 });
    expect(harness.log.lines.filter(({ message }) => message === "User holds too many connections")).toHaveLength(1);
    sockets[0]?.destroy();
    await until(() => harness.api.stats.connections === 1);
    const fresh = net.connect(harness.path);
    await until(() => harness.api.stats.connections === 2);
    for (const socket of [...sockets, fresh]) socket.destroy();
  });

  test.skipIf(!root)("(as root) one user's connections leave room for another's", async () => {
    const source = new FakeSource();
    source.everybody.set(updateOf([identityOf("a")]));
    await using harness = await ApiHarness.open(source, { limits: limits({ maxConnectionsPerUid: 1 }) });
    const script = `const s = require("net").connect(process.argv[1]); s.on("close", () => console.log("closed"));
      s.on("connect", () => console.log("connected")); process.stdin.resume()`;
    await using child = new Child(process.execPath, ["-e", script, "--", harness.path], { uid: 12_345, gid: 12_345 });
    expect(await child.line()).toBe("connected");
    await until(() => harness.api.stats.connections === 1);
    await using second = new Child(process.execPath, ["-e", script, "--", harness.path], { uid: 12_345, gid: 12_345 });
    expect([await second.line(), await second.line()]).toEqual(["connected", "closed"]);
    const message = await new Reader(harness.client().fetchX509Svid({}, header())).next();
    expect(message.svids).toHaveLength(1);
  });

  test("more connections than allowed in all are closed at once", async () => {
    await using harness = await ApiHarness.open(new FakeSource(), { limits: limits({ maxConnections: 1 }) });
    const first = net.connect(harness.path);
    await until(() => harness.api.stats.connections === 1);
    await closed(net.connect(harness.path));
    expect(harness.api.stats).toMatchObject({ refused: 1, refusedOverUid: 0 });
    first.destroy();
  });

  test("a caller that cannot be identified is closed, counted and named once in the log", async () => {
    await using harness = await ApiHarness.open(new FakeSource(), { credentials: { procRoot: "/dev" } });
    await closed(net.connect(harness.path));
    await closed(net.connect(harness.path));
    expect(harness.api.stats).toMatchObject({ connections: 0, refused: 2, refusedUnidentified: 2 });
    expect(harness.log.lines.map(({ fields }) => fields.code)).toEqual(["ERR_PROC_ROOT"]);
  });

  test("no descriptor is left of connections that came and went", async () => {
    await using harness = await ApiHarness.open(new FakeSource());
    const open = (): number => readdirSync("/proc/self/fd").length;
    const before = open();
    for (let i = 0; i < 30; i++) {
      const client = harness.client();
      expect(await new Reader(client.fetchX509Svid({}, header())).end()).toMatch(/no identity issued/);
      client.close();
    }
    await until(() => harness.api.stats.connections === 0);
    await until(() => open() <= before);
  });

  test("an oversized request is RESOURCE_EXHAUSTED, a malformed one INVALID_ARGUMENT", async () => {
    await using harness = await ApiHarness.open(new FakeSource());
    const client = harness.client();
    const raw = (bytes: Buffer) =>
      new Reader(
        client.makeServerStreamRequest(
          "/SpiffeWorkloadAPI/FetchX509SVID",
          (message: Buffer) => message,
          (message) => message,
          bytes,
          header(),
        ),
      ).end();
    expect(await raw(Buffer.alloc(64 * 1024 + 1))).toMatch(new RegExp(`^${Status.RESOURCE_EXHAUSTED} `));
    expect(await raw(Buffer.from([0x0a, 0x05, 0x01]))).toBe(`${Status.INVALID_ARGUMENT} request is no valid message`);
  });
});

describe("health", () => {
  const client = (harness: ApiHarness): HealthClient =>
    new HealthClient(`unix://${harness.path}`, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
  const check = (health: HealthClient, service: string): Promise<string> =>
    new Promise((resolve) =>
      health.check({ service }, (error: ServiceError | null, response) =>
        resolve(error === null ? String(response.status) : `error ${error.code}`),
      ),
    );

  test("tells whether callers can be answered, of the whole server only, without a security header", async () => {
    await using harness = await ApiHarness.open(new FakeSource());
    const health = client(harness);
    expect(await check(health, "")).toBe(String(HealthCheckResponse_ServingStatus.SERVING));
    harness.healthy = false;
    expect(await check(health, "")).toBe(String(HealthCheckResponse_ServingStatus.NOT_SERVING));
    expect(await check(health, "SpiffeWorkloadAPI")).toBe(`error ${Status.INVALID_ARGUMENT}`);
    expect(await new Reader(health.watch({ service: "" })).end()).toMatch(new RegExp(`^${Status.UNIMPLEMENTED} `));
    health.close();
  });
});

describe("reflection", () => {
  type Asked = NonNullable<ServerReflectionRequest["messageRequest"]>;

  async function ask(client: Client, ...requests: (Asked | undefined)[]): Promise<ServerReflectionResponse[]> {
    const stream = (client as ServerReflectionClient).serverReflectionInfo();
    const responses: ServerReflectionResponse[] = [];
    for (const messageRequest of requests) stream.write({ host: "h", messageRequest });
    stream.end();
    for await (const response of stream) responses.push(response as ServerReflectionResponse);
    return responses;
  }

  const names = (response: ServerReflectionResponse | undefined): string[] => {
    const answer = response?.messageResponse;
    if (answer?.$case !== "fileDescriptorResponse") return [answer?.$case ?? "none"];
    return answer.value.fileDescriptorProto.map(
      (bytes) => [...fileDescriptors].find(([, file]) => Buffer.compare(file, bytes) === 0)?.[0] ?? "unknown",
    );
  };

  test.each([
    ["v1", ServerReflectionClient],
    ["v1alpha", AlphaReflectionClient],
  ])("%s lists the services and gives their files (EP-17, EP-18)", async (_version, Kind) => {
    await using harness = await ApiHarness.open(new FakeSource());
    const client: Client = new Kind(`unix://${harness.path}`, credentials.createInsecure());
    const [list, byName, bySymbol, byMethod, missing, extension, numbers, empty] = await ask(
      client,
      { $case: "listServices", value: "*" },
      { $case: "fileByFilename", value: "workload/workload.proto" },
      { $case: "fileContainingSymbol", value: "SpiffeWorkloadAPI" },
      { $case: "fileContainingSymbol", value: "grpc.health.v1.Health.Check" },
      { $case: "fileContainingSymbol", value: "no.such.Thing" },
      { $case: "fileContainingExtension", value: { containingType: "X509SVID", extensionNumber: 7 } },
      { $case: "allExtensionNumbersOfType", value: "X509SVID" },
      undefined,
    );
    client.close();
    const services = list?.messageResponse;
    expect(services?.$case === "listServicesResponse" && services.value.service.map(({ name }) => name)).toEqual([
      "SpiffeWorkloadAPI",
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
    ]);
    expect(names(byName)).toEqual(["workload/workload.proto", "google/protobuf/struct.proto"]);
    expect(names(bySymbol)).toEqual(names(byName));
    expect(names(byMethod)).toEqual(["grpc/health/v1/health.proto"]);
    for (const response of [missing, extension]) {
      expect(response?.messageResponse).toMatchObject({ $case: "errorResponse", value: { errorCode: 5 } });
    }
    expect(numbers?.messageResponse).toMatchObject({ value: { baseTypeName: "X509SVID" } });
    expect(empty?.messageResponse).toMatchObject({ $case: "errorResponse", value: { errorCode: 3 } });
    expect(list).toMatchObject({ validHost: "h", originalRequest: { host: "h" } });
  });

  test("every descriptor can be read, and declares what its name says", () => {
    const symbols = [...fileDescriptors].flatMap(([name, bytes]) => readProtoFile(name, bytes).symbols);
    expect(symbols).toContain("SpiffeWorkloadAPI.FetchX509SVID");
    expect(symbols).toContain("X509SVIDResponse.FederatedBundlesEntry.key");
    expect(symbols).toContain("google.protobuf.Struct");
    expect(symbols).toContain("google.protobuf.Value.kind");
    expect(symbols).toContain("grpc.health.v1.HealthCheckResponse.ServingStatus");
    expect(new Set(symbols).size).toBe(symbols.length);
  });

  test("a disabled Workload API is not listed", async () => {
    await using harness = await ApiHarness.open(new FakeSource(), { disableWorkloadApi: true });
    const client = new ServerReflectionClient(`unix://${harness.path}`, credentials.createInsecure());
    const [list] = await ask(client, { $case: "listServices", value: "" });
    client.close();
    expect(JSON.stringify(list)).not.toContain("SpiffeWorkloadAPI");
  });
});
