/** Calls services on a local Unix socket from the command line. */
import {
  type ChannelCredentials,
  type Client,
  type ClientOptions,
  credentials,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import { GrpcCode, grpcCodeName } from "../lib/grpc-status.ts";

type ClientClass<C extends Client> = new (
  address: string,
  credentials: ChannelCredentials,
  options?: Partial<ClientOptions>,
) => C;

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

/** Opens a client of a service on a Unix socket, hands it to `use`, and closes it. */
export async function withClient<C extends Client, T>(
  service: ClientClass<C>,
  socketPath: string,
  use: (client: C) => Promise<T>,
): Promise<T> {
  const client = new service(`unix:${socketPath}`, credentials.createInsecure(), {
    // The socket is local: names, proxies and retries have no say.
    "grpc.enable_http_proxy": 0,
    "grpc.enable_retries": 0,
    "grpc.max_receive_message_length": -1,
    "grpc.default_authority": "localhost",
  });
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

/** How a unary method of a generated client looks. */
type UnaryMethod<Req, Res> = (
  request: Req,
  metadata: Metadata,
  options: { deadline?: number },
  callback: (error: ServiceError | null, response: Res) => void,
) => unknown;

/** Options of a call. */
export interface CallOptions {
  /** Milliseconds since the epoch after which the call is given up. */
  readonly deadline?: number;
  /** Metadata to send. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Calls a unary method of `client`. Throws `RpcError`. */
export function call<Req, Res>(
  client: Client,
  method: UnaryMethod<Req, Res>,
  request: Req,
  options: CallOptions = {},
): Promise<Res> {
  return new Promise((resolve, reject) => {
    method.call(
      client,
      request,
      metadataOf(options),
      options.deadline === undefined ? {} : { deadline: options.deadline },
      (error, response) => {
        if (error === null) resolve(response);
        else reject(rpcError(error));
      },
    );
  });
}

/** The metadata of a call. */
export function metadataOf(options: CallOptions): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(options.metadata ?? {})) metadata.set(name, value);
  return metadata;
}

/** What grpc-js reports, without its `14 UNAVAILABLE:` prefix. */
export function rpcError(error: unknown): Error {
  if (!(error instanceof Error)) return new Error("call failed");
  const { code, details } = error as Partial<ServiceError>;
  return typeof code === "number" ? new RpcError(code, details ?? error.message) : error;
}

/** Whether the call failed because nobody answered in time. */
export function isUnreachable(error: unknown): boolean {
  return (
    error instanceof RpcError && (error.code === GrpcCode.UNAVAILABLE || error.code === GrpcCode.DEADLINE_EXCEEDED)
  );
}
