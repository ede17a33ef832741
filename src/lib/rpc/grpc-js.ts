/** The transport on `@grpc/grpc-js`: connections are injected, messages pass as bytes. */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Duplex } from "node:stream";
import {
  logVerbosity,
  Server,
  ServerCredentials,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerOptions,
  setLogVerbosity,
  status,
} from "@grpc/grpc-js";
import type { Clock } from "../clock.ts";
import { ACCEPTED_ENCODING, type CallHost, GrpcJsCall } from "./grpc-js-call.ts";
import { decodeWith, hangUp, isCompressed, WRONG_METHOD } from "./grpc-js-inner.ts";
import { BidiListener, SingleListener } from "./grpc-js-listeners.ts";
import { connectionOf, type Http2Stream, nameOf, nameSocket } from "./grpc-js-names.ts";
import { mayNamePaths } from "./path-authority.ts";
import { PathAuthoritySocket } from "./path-authority-socket.ts";
import { RequestDecoder } from "./request-decoder.ts";
import type { Method, MethodTable, Transport, TransportOptions } from "./transport.ts";

/** What the transport needs besides its options. */
export interface GrpcJsDeps {
  readonly clock: Clock;
}

class Connection<P> {
  readonly owner: unknown;
  readonly peer: P;
  readonly socket: Duplex;
  /** What grpc-js believes to be the remote address. */
  readonly name: string;
  /** Whether the library has taken it over. */
  begun = false;

  constructor(owner: unknown, peer: P, socket: Duplex, name: string) {
    this.owner = owner;
    this.peer = peer;
    this.socket = socket;
    this.name = name;
  }
}

/** Where Node tells of every stream, also of one whose method nobody knows. */
const STREAMS = "http2.server.stream.created";

/** What it tells, as far as we need it. */
interface StreamCreated {
  readonly stream: Http2Stream & { [WRONG_METHOD]?: string };
  readonly headers: Readonly<Record<string, unknown>>;
}

type ConnectionInjector = ReturnType<Server["createConnectionInjector"]>;

/** Carries the calls of a method table on connections that the owner accepted. */
export class GrpcJsTransport<P> implements Transport {
  readonly #options: TransportOptions<P>;
  readonly #host: CallHost;
  readonly #server: Server;
  readonly #injector: ConnectionInjector;
  /** By name. */
  readonly #connections = new Map<string, Connection<P>>();
  #names = 0;
  #refused = 0;
  #stopping = false;
  #listening = false;
  #emptied: PromiseWithResolvers<void> | undefined;

  constructor(options: TransportOptions<P>, deps: GrpcJsDeps) {
    this.#options = options;
    this.#host = { clock: deps.clock, onError: this.#report };
    // The library prints malformed metadata, which is a peer's choice of words, on our standard error.
    setLogVerbosity(logVerbosity.NONE);
    this.#server = new Server(serverOptions(options, this.#intercept));
    registerAll(this.#server, options.methods);
    this.#injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
  }

  get connections(): number {
    return this.#connections.size;
  }

  get refused(): number {
    return this.#refused;
  }

  accept(socket: Duplex): void {
    this.#listen();
    const peer = this.#admit(socket);
    if (peer === null) {
      this.#refused++;
      socket.destroy();
      return;
    }
    const connection = new Connection(this, peer, socket, `connection-${++this.#names}`);
    nameSocket(socket, connection.name, connection);
    this.#connections.set(connection.name, connection);
    socket.once("close", () => this.#disconnected(connection));
    if (this.#options.takesPathAuthorities !== true) this.#inject(connection, socket);
    else {
      socket.once("error", () => {});
      socket.once("readable", () => this.#begin(connection));
      // Begins to read now: the owner may have the handle read too, which is refused the second time.
      socket.read(0);
    }
  }

  /** Something came of a new connection, or its end. */
  #begin(connection: Connection<P>): void {
    const { socket } = connection;
    const first: unknown = socket.read();
    if (!(first instanceof Uint8Array)) {
      socket.destroy();
      return;
    }
    // The session begins with what stands in the buffer.
    socket.unshift(first);
    if (!mayNamePaths(first)) {
      this.#inject(connection, socket);
      return;
    }
    const repaired = new PathAuthoritySocket(socket);
    nameSocket(repaired, connection.name, connection);
    this.#inject(connection, repaired);
  }

  #inject(connection: Connection<P>, socket: Duplex): void {
    try {
      connection.begun = true;
      this.#injector.injectConnection(socket);
    } catch (error) {
      this.#report(error, "");
      socket.destroy();
    }
  }

  async shutdown(graceMs: number): Promise<void> {
    this.#stopping = true;
    if (this.#connections.size > 0) {
      // Sends GOAWAY and waits for calls in progress. `Server.tryShutdown` does not wait for injected connections.
      this.#injector.drain(graceMs);
      for (const { begun, socket } of this.#connections.values()) if (!begun) socket.destroy();
      this.#emptied ??= Promise.withResolvers();
      const disarm = this.#host.clock.after(graceMs, () => {
        for (const { socket } of this.#connections.values()) socket.destroy();
      });
      await this.#emptied.promise;
      disarm();
    }
    this.#server.forceShutdown();
    unsubscribe(STREAMS, this.#created);
  }

  #listen(): void {
    if (this.#listening) return;
    this.#listening = true;
    subscribe(STREAMS, this.#created);
  }

  /** Told of the streams of every HTTP/2 server in this process. */
  readonly #created = (message: unknown): void => {
    const { stream, headers } = message as StreamCreated;
    const connection = connectionOf(stream);
    if (!(connection instanceof Connection) || connection.owner !== this) return;
    if (headers[":method"] !== "POST") stream[WRONG_METHOD] = String(headers[":method"]);
    // Ends the reading of what has come already, too, which closing the socket does not.
    if (this.#options.onStream?.((connection as Connection<P>).peer) === false) stream.session?.destroy?.();
  };

  #admit(socket: Duplex): P | null {
    if (this.#stopping || socket.destroyed || this.#connections.size >= this.#options.maxConnections) return null;
    try {
      return this.#options.onConnect(socket);
    } catch (error) {
      this.#report(error, "");
      return null;
    }
  }

  #disconnected({ name, peer }: Connection<P>): void {
    this.#connections.delete(name);
    try {
      this.#options.onDisconnect?.(peer);
    } catch (error) {
      this.#report(error, "");
    }
    if (this.#connections.size === 0) this.#emptied?.resolve();
  }

  /** The library calls this for each call of a method in the table. */
  readonly #intercept = (
    definition: { readonly path: string },
    inner: ServerInterceptingCallInterface,
  ): ServerInterceptingCall => new DirectCall(inner, () => this.#start(definition.path, inner));

  #start(path: string, inner: ServerInterceptingCallInterface): void {
    const connection = this.#connections.get(nameOf(inner));
    const method = this.#options.methods.get(path);
    if (connection === undefined || method === undefined) {
      inner.sendStatus({ code: status.UNAUTHENTICATED, details: "caller could not be identified" });
      return;
    }
    if (this.#stopping) {
      inner.sendStatus({ code: status.UNAVAILABLE, details: "shutting down" });
      return;
    }
    const wrongMethod = (inner as { readonly stream?: StreamCreated["stream"] }).stream?.[WRONG_METHOD];
    if (wrongMethod !== undefined) {
      inner.sendStatus({ code: status.INTERNAL, details: `HTTP method is ${wrongMethod}, not POST` });
      return;
    }
    if (isCompressed(inner)) {
      const details = "compressed requests are not accepted";
      inner.sendStatus({ code: status.UNIMPLEMENTED, details, metadata: ACCEPTED_ENCODING });
      return;
    }
    const account = this.#options.account?.(connection.peer);
    const decoder = new RequestDecoder({
      maxRequest: method.maxRequest ?? this.#options.maxRequest,
      single: method.kind === "single",
      ...(account !== undefined && { account }),
      // oxlint-disable-next-line typescript/no-unsafe-enum-assignment -- the library's enum has the same numbers
      refuse: (code, details) => inner.sendStatus({ code, details, metadata: ACCEPTED_ENCODING }),
    });
    if (!decodeWith(inner, decoder)) {
      inner.sendStatus({ code: status.INTERNAL, details: "internal error" });
      return;
    }
    const call = new GrpcJsCall(this.#host, inner, path, connection.peer);
    call.onReleased = () => {
      decoder.close();
      hangUp(inner);
    };
    inner.start(
      method.kind === "single" ? new SingleListener(call, inner, method) : new BidiListener(call, inner, method),
    );
  }

  readonly #report = (error: unknown, method: string): void => this.#options.onError?.(error, method);
}

/** Starts the given work in place of the library's own stream objects. */
class DirectCall extends ServerInterceptingCall {
  readonly #begin: () => void;

  constructor(inner: ServerInterceptingCallInterface, begin: () => void) {
    super(inner);
    this.#begin = begin;
  }

  override start(): void {
    this.#begin();
  }
}

function serverOptions<P>(
  options: TransportOptions<P>,
  interceptor: NonNullable<ServerOptions["interceptors"]>[number],
): ServerOptions {
  return {
    "grpc.enable_channelz": 0,
    "grpc.max_receive_message_length": options.maxRequest,
    "grpc.max_concurrent_streams": options.maxStreams,
    ...(options.maxConnectionAgeMs !== undefined && { "grpc.max_connection_age_ms": options.maxConnectionAgeMs }),
    ...(options.maxConnectionAgeGraceMs !== undefined && {
      "grpc.max_connection_age_grace_ms": options.maxConnectionAgeGraceMs,
    }),
    ...(options.keepaliveMs !== undefined && { "grpc.keepalive_time_ms": options.keepaliveMs }),
    interceptors: [interceptor],
  };
}

/** Makes the methods known by name; the handlers given here are never reached, see `DirectCall`. */
function registerAll<P>(server: Server, methods: MethodTable<P>): void {
  const identity = (bytes: Buffer): Buffer => bytes;
  const unreachable = (): never => {
    throw new Error("the interceptor serves every call");
  };
  for (const [path, method] of methods) {
    server.register(path, unreachable, identity, identity, kindOf(method));
  }
}

function kindOf<P>(method: Method<P>): string {
  return method.kind === "single" ? "serverStream" : "bidi";
}
