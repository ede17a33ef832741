/** Goes to the server as the agent does, without an identity: name, TCP, the agent's own handshake; no call is made. */
import { lookup } from "node:dns/promises";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { ServerTlsCredentials } from "../../../agent/server-tls.ts";
import { presentedChain } from "../../../agent/server-tls-identity.ts";
import type { AgentConfig } from "../../../config/agent-config.ts";
import type { Clock } from "../../../lib/clock.ts";
import { errorText } from "../../../lib/errors.ts";
import type { Der } from "../../../spiffe/svid.ts";
import { errnoOf } from "./words.ts";

/** What a step came to; `timeout` stands for an errno name. */
export type ServerLook =
  | { readonly step: "name"; readonly errno: string }
  | { readonly step: "tcp"; readonly addresses: readonly string[]; readonly errno: string }
  | {
      readonly step: "tls";
      readonly address: string;
      /** Why the agent's own handshake fails; `undefined` when it does not. */
      readonly refusal: string | undefined;
      /** What a handshake that accepts anything sees. */
      readonly seen: TlsSeen | { readonly errno: string };
    };

/** The other end of a TLS connection. */
export interface TlsSeen {
  /** `TLSv1.3` */
  readonly protocol: string;
  /** Leaf first. */
  readonly chain: readonly Uint8Array[];
}

/** Where to, and what to trust. */
export type ServerTarget = Pick<AgentConfig, "serverAddress" | "serverPort" | "trustDomain"> & {
  readonly requirePqKem: boolean;
  readonly trust: readonly Der[] | "insecure";
};

const TIMEOUT = "timeout";
const MOST_ADDRESSES = 8;

/** Looks. Each step ends by the signal, which is that of the check's time. */
export async function lookAtServer(target: ServerTarget, clock: Clock, signal: AbortSignal): Promise<ServerLook> {
  const { serverAddress: host, serverPort: port } = target;
  let addresses: readonly string[];
  try {
    addresses = await inTime(resolveName(host), signal);
  } catch (error) {
    return { step: "name", errno: signal.aborted ? TIMEOUT : errnoOf(error) };
  }
  let socket: Socket;
  try {
    socket = await connectFirst(addresses, port, signal);
  } catch (error) {
    return { step: "tcp", addresses, errno: signal.aborted ? TIMEOUT : errnoOf(error) };
  }
  const address = socket.remoteAddress ?? addresses[0] ?? host;
  const own = await ownHandshake(target, socket, clock, signal);
  if ("chain" in own) return { step: "tls", address, refusal: undefined, seen: own };
  const seen = await lenientHandshake(host, address, port, signal);
  return { step: "tls", address, refusal: own.refusal, seen };
}

async function resolveName(host: string): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host];
  return (await lookup(host, { all: true })).map(({ address }) => address).slice(0, MOST_ADDRESSES);
}

/** To all addresses at once; the first that answers counts. */
async function connectFirst(addresses: readonly string[], port: number, signal: AbortSignal): Promise<Socket> {
  const attempts = addresses.map((host) => connected(connectTcp({ host, port }), signal));
  let winner: Socket;
  try {
    winner = await Promise.any(attempts);
  } catch (error) {
    // Of several refusals the first is as good as any.
    throw error instanceof AggregateError ? error.errors[0] : error;
  }
  for (const attempt of attempts) {
    void attempt.then((socket) => socket !== winner && socket.destroy()).catch(() => {});
  }
  return winner;
}

function connected(socket: Socket, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      socket.destroy();
      reject(signal.reason);
    };
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    socket.once("error", (error) => {
      signal.removeEventListener("abort", onAbort);
      reject(error);
    });
    socket.once("connect", () => {
      signal.removeEventListener("abort", onAbort);
      resolve(socket);
    });
  });
}

/** Exactly what the agent does, so that the verdict is the agent's. */
async function ownHandshake(
  { trust, trustDomain, requirePqKem, serverAddress }: ServerTarget,
  socket: Socket,
  clock: Clock,
  signal: AbortSignal,
): Promise<TlsSeen | { readonly refusal: string }> {
  const source = { trustDomain, authorities: () => trust, identity: undefined };
  const credentials = new ServerTlsCredentials({ clock, source, requirePqKem });
  const connector = credentials._createSecureConnector({ path: `${serverAddress}:443` }, {});
  const stop = (): void => void socket.destroy();
  signal.addEventListener("abort", stop, { once: true });
  try {
    const { socket: secure } = await connector.connect(socket);
    secure.on("error", () => {});
    return seenBy(secure as TLSSocket);
  } catch (error) {
    return { refusal: signal.aborted ? "the server did not answer the TLS handshake in time" : errorText(error) };
  } finally {
    signal.removeEventListener("abort", stop);
    socket.destroy();
    connector.destroy();
  }
}

/** Accepts old versions and any certificate, only to say what is there. Nothing is sent over it. */
async function lenientHandshake(
  host: string,
  address: string,
  port: number,
  signal: AbortSignal,
): Promise<TlsSeen | { readonly errno: string }> {
  if (signal.aborted) return { errno: TIMEOUT };
  const socket = connectTls({
    host: address,
    port,
    servername: isIP(host) === 0 ? host : "",
    ALPNProtocols: ["h2"],
    minVersion: "TLSv1.2",
    rejectUnauthorized: false,
  });
  const stop = (): void => void socket.destroy();
  signal.addEventListener("abort", stop, { once: true });
  try {
    return await new Promise<TlsSeen>((resolve, reject) => {
      socket.once("secureConnect", () => resolve(seenBy(socket)));
      socket.on("error", reject);
      socket.once("close", () => reject(Object.assign(new Error("closed"), { code: "ECONNRESET" })));
    });
  } catch (error) {
    return { errno: signal.aborted ? TIMEOUT : errnoOf(error) };
  } finally {
    signal.removeEventListener("abort", stop);
    socket.destroy();
  }
}

function seenBy(socket: TLSSocket): TlsSeen {
  return { protocol: socket.getProtocol() ?? "", chain: presentedChain(socket.getPeerCertificate(true)) };
}

async function inTime<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const late = Promise.withResolvers<never>();
  const onAbort = (): void => late.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
