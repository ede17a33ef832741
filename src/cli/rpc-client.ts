/** Calls services on a local Unix socket from the command line. */
import { Client, type ClientReadableStream, credentials, Metadata, type MethodDefinition } from "@grpc/grpc-js";
import { GrpcCode, grpcCodeName } from "../lib/grpc-status.ts";
import type { CliContext } from "./command.ts";
import { connectError } from "./connect-error.ts";

/** A call failed with a gRPC status. */
export class RpcError extends Error {
  override readonly name = "RpcError";
  readonly code: number;
  readonly details: string;

  constructor(code: number, details: string) {
    super(`rpc error: code = ${grpcCodeName(code)} desc = ${details}`);
    this.code = code;
    this.details = details;
  }
}

/** Opens a connection to a Unix socket, hands it to `use`, and closes it. Says why there was none. */
export async function withClient<T>(socketPath: string, use: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client(`unix:${socketPath}`, credentials.createInsecure(), {
    // The socket is local: names, proxies and retries have no say.
    "grpc.enable_http_proxy": 0,
    "grpc.enable_retries": 0,
    "grpc.max_receive_message_length": -1,
    "grpc.default_authority": "localhost",
  });
  try {
    return await use(client);
  } catch (error) {
    throw explained(error, socketPath);
  } finally {
    client.close();
  }
}

const ADMIN_TIMEOUT_MS = 30_000;

/** The time by which a call of an admin socket must be answered. */
export function adminDeadline(context: Pick<CliContext, "clock">): { readonly deadline: number } {
  return { deadline: context.clock.now() + ADMIN_TIMEOUT_MS };
}

/** Options of a call. */
export interface CallOptions {
  /** Milliseconds since the epoch after which the call is given up. */
  readonly deadline?: number;
  /** Metadata to send. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Calls a unary method. Throws `RpcError`. */
export function call<Req, Res>(
  client: Client,
  method: MethodDefinition<Req, Res>,
  request: Req,
  options: CallOptions = {},
): Promise<Res> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(...callArguments(method, request, options), (error, response) => {
      if (error === null && response !== undefined) resolve(response);
      else reject(rpcError(error));
    });
  });
}

/** Calls a server streaming method. */
export function stream<Req, Res>(
  client: Client,
  method: MethodDefinition<Req, Res>,
  request: Req,
  options: CallOptions = {},
): ClientReadableStream<Res> {
  return client.makeServerStreamRequest(...callArguments(method, request, options));
}

function callArguments<Req, Res>(method: MethodDefinition<Req, Res>, request: Req, options: CallOptions) {
  const { path, requestSerialize, responseDeserialize } = method;
  const deadline = options.deadline === undefined ? {} : { deadline: options.deadline };
  return [path, requestSerialize, responseDeserialize, request, metadataOf(options), deadline] as const;
}

/** grpc-js wraps the reason of a failed connection in words about itself. */
function explained(error: unknown, socketPath: string): unknown {
  if (!(error instanceof RpcError) || error.code !== GrpcCode.UNAVAILABLE) return error;
  const code = /\bconnect (E[A-Z]+)\b/.exec(error.details)?.[1];
  if (code !== undefined) return new RpcError(error.code, connectError(socketPath, { code }).message);
  if (!error.details.includes("Failed to connect")) return error;
  return new RpcError(error.code, `${socketPath} was connected to and closed at once: it may have too many callers`);
}

/** The metadata of a call. */
function metadataOf(options: CallOptions): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(options.metadata ?? {})) metadata.set(name, value);
  return metadata;
}

/** What grpc-js reports, without its `14 UNAVAILABLE:` prefix. */
export function rpcError(error: unknown): Error {
  if (!(error instanceof Error)) return new Error("call failed");
  const { code, details } = error as { readonly code?: unknown; readonly details?: string };
  if (typeof code !== "number") return error;
  // grpc-js adds where in its own works the time went.
  const late = "no answer in time: the program may be waiting for its server";
  return new RpcError(code, code === GrpcCode.DEADLINE_EXCEEDED ? late : (details ?? error.message));
}
