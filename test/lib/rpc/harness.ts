/** A transport behind a real Unix socket, and a real grpc-js client in front of it. */
import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, type ClientReadableStream, credentials, Metadata, type StatusObject } from "@grpc/grpc-js";
import { systemClock } from "../../../src/lib/clock.ts";
import { GrpcJsTransport } from "../../../src/lib/rpc/grpc-js.ts";
import type { Method, TransportOptions } from "../../../src/lib/rpc/transport.ts";

/** What the harness's `onConnect` makes of a connection. */
export interface TestPeer {
  readonly number: number;
  readonly socket: net.Socket;
}

export interface Harness extends AsyncDisposable {
  readonly path: string;
  readonly transport: GrpcJsTransport<TestPeer>;
  readonly peers: TestPeer[];
  readonly gone: TestPeer[];
  readonly errors: { readonly error: unknown; readonly method: string }[];
  client(options?: Record<string, string | number>): Client;
}

export async function startHarness(
  methods: Record<string, Method<TestPeer>>,
  options: Partial<TransportOptions<TestPeer>> = {},
): Promise<Harness> {
  const folder = await mkdtemp(join(tmpdir(), "rpc-"));
  const path = join(folder, "test.sock");
  const peers: TestPeer[] = [];
  const gone: TestPeer[] = [];
  const errors: { readonly error: unknown; readonly method: string }[] = [];
  const clients: Client[] = [];
  const transport = new GrpcJsTransport<TestPeer>(
    {
      methods: new Map(Object.entries(methods)),
      onConnect(socket) {
        const peer = { number: peers.length, socket: socket as net.Socket };
        peers.push(peer);
        return peer;
      },
      onDisconnect: (peer) => void gone.push(peer),
      onError: (error, method) => void errors.push({ error, method }),
      maxRequest: 1000,
      maxStreams: 100,
      maxConnections: 100,
      ...options,
    },
    { clock: systemClock },
  );
  const server = net.createServer((socket) => transport.accept(socket));
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    path,
    transport,
    peers,
    gone,
    errors,
    client(channelOptions = {}) {
      const client = new Client(`unix://${path}`, credentials.createInsecure(), {
        "grpc.use_local_subchannel_pool": 1,
        ...channelOptions,
      });
      clients.push(client);
      return client;
    },
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.close();
      server.close();
      await transport.shutdown(0);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const identity = (bytes: Buffer): Buffer => bytes;

/** Opens a server stream of raw messages. */
export function openStream(
  client: Client,
  method: string,
  request: Buffer | string = "",
  options: { readonly metadata?: Metadata; readonly deadline?: number } = {},
): ClientReadableStream<Buffer> {
  return client.makeServerStreamRequest(
    method,
    identity,
    identity,
    Buffer.from(request),
    options.metadata ?? new Metadata(),
    options.deadline === undefined ? {} : { deadline: options.deadline },
  );
}

/** All messages of a stream and the status that ended it. */
export async function collect(
  stream: ClientReadableStream<Buffer>,
): Promise<{ readonly messages: string[]; readonly status: StatusObject }> {
  const messages: string[] = [];
  stream.on("data", (bytes: Buffer) => messages.push(bytes.toString()));
  return { messages, status: await statusOf(stream) };
}

/** The status that ends a stream. */
export function statusOf(stream: ClientReadableStream<Buffer>): Promise<StatusObject> {
  stream.on("error", () => {});
  return new Promise((resolve) => stream.on("status", resolve));
}

/** Calls once and gives messages and status. */
export function call(
  client: Client,
  method: string,
  request: Buffer | string = "",
  options: { readonly metadata?: Metadata; readonly deadline?: number } = {},
): Promise<{ readonly messages: string[]; readonly status: StatusObject }> {
  return collect(openStream(client, method, request, options));
}

/** Resolves once `condition` holds; looks after every turn of the event loop. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
