/** Where trust in the server comes from before the first attestation: a file, a URL, or (insecure) nowhere. */
import { open } from "node:fs/promises";
import { getCACertificates } from "node:tls";
import type { Agent, Dispatcher } from "undici";
import type { Clock } from "../lib/clock.ts";
import { AgentError } from "../lib/errors.ts";
import { type BundleFormat, parseBundle } from "../pki/bundle-format.ts";
import type { TrustBundle } from "../spiffe/bundle.ts";
import type { TrustDomain } from "../spiffe/id.ts";

/** How the agent comes to trust the server before it has a stored bundle. */
export type BootstrapSource =
  /** Takes whatever claims to be the server, the first time. */
  | { readonly kind: "insecure" }
  | { readonly kind: "file"; readonly path: string; readonly format: BundleFormat }
  /** `https://` judged by the host's CAs, or `http://` through a Unix socket whose owner is trusted instead. */
  | { readonly kind: "url"; readonly url: string; readonly unixSocket?: string; readonly format: BundleFormat };

/** Dependencies and options of `readBootstrapBundle`. */
export interface BootstrapBundleOptions {
  readonly clock: Clock;
  readonly trustDomain: TrustDomain;
  readonly serverHost: string;
  readonly serverPort: number;
  /** Carries `https` requests; absent: undici with the host's CA certificates. */
  readonly https?: Dispatcher;
}

/** What the URL's server may want to know of this attempt; sent through a Unix socket only, as SPIRE does. */
export interface BootstrapAttempt {
  /** Tries before this one. */
  readonly failures: number;
  /** Milliseconds since the Unix epoch. */
  readonly startedAt: number;
}

const MAX_BYTES = 4 * 1024 * 1024;
const TIMEOUT_MS = 30_000;
/** For the whole of an answer, which may come drop by drop. */
const WHOLE_TIMEOUT_MS = 60_000;

/** Reads the bundle. Throws `FAILED_PRECONDITION` or `MALFORMED` for a bad file, `UNAVAILABLE` for whatever a URL may do better next time. */
export async function readBootstrapBundle(
  options: BootstrapBundleOptions,
  source: BootstrapSource,
  attempt: BootstrapAttempt,
  signal: AbortSignal,
): Promise<TrustBundle | "insecure"> {
  if (source.kind === "insecure") return "insecure";
  if (source.kind === "file") {
    const text = await readBounded(source.path);
    try {
      return withAuthority(parseBundle(text, source.format, options.trustDomain), "MALFORMED", source.path);
    } catch (error) {
      throw new AgentError("MALFORMED", `the trust bundle file ${source.path} cannot be used`, { cause: error });
    }
  }
  const url = new URL(source.url);
  const text = await inTime(options.clock, signal, (limited) =>
    source.unixSocket === undefined
      ? getHttps(url, options.https, limited)
      : getThroughSocket(url, source.unixSocket, options, attempt, limited),
  );
  try {
    return withAuthority(parseBundle(text, source.format, options.trustDomain), "UNAVAILABLE", url.host);
  } catch (error) {
    throw new AgentError("UNAVAILABLE", `the trust bundle from ${url.host} cannot be used`, { cause: error });
  }
}

async function inTime<T>(clock: Clock, signal: AbortSignal, work: (limited: AbortSignal) => Promise<T>): Promise<T> {
  const late = new AbortController();
  const disarm = clock.after(WHOLE_TIMEOUT_MS, () =>
    late.abort(new AgentError("UNAVAILABLE", "the trust bundle's server takes too long to answer")),
  );
  try {
    return await work(AbortSignal.any([signal, late.signal]));
  } finally {
    disarm();
  }
}

function withAuthority(bundle: TrustBundle, code: "MALFORMED" | "UNAVAILABLE", where: string): TrustBundle {
  if (bundle.x509Authorities.length > 0) return bundle;
  throw new AgentError(code, `the trust bundle from ${where} holds no X.509 authority`);
}

async function readBounded(path: string): Promise<string> {
  try {
    await using file = await open(path);
    const buffer = Buffer.alloc(MAX_BYTES + 1);
    let size = 0;
    for (let count = -1; count !== 0 && size < buffer.length; size += count) {
      ({ bytesRead: count } = await file.read(buffer, size));
    }
    if (size > MAX_BYTES) throw new AgentError("MALFORMED", `the trust bundle file ${path} is too long`);
    return buffer.toString("utf8", 0, size);
  } catch (error) {
    if (error instanceof AgentError) throw error;
    throw new AgentError("FAILED_PRECONDITION", `cannot read the trust bundle file ${path}`, { cause: error });
  }
}

async function getHttps(url: URL, given: Dispatcher | undefined, signal: AbortSignal): Promise<string> {
  if (url.protocol !== "https:") throw new AgentError("INVALID_ARGUMENT", "trust_bundle_url must begin with https://");
  if (given !== undefined) return await get(url, given, signal);
  // Where the host has a CA store it rules, as for SPIRE; a bare container has none, and Node's own serves.
  const system = getCACertificates("system");
  const dispatcher = await newAgent({ connect: system.length > 0 ? { ca: system } : {} });
  try {
    return await get(url, dispatcher, signal);
  } finally {
    await dispatcher.destroy();
  }
}

async function getThroughSocket(
  url: URL,
  socketPath: string,
  options: BootstrapBundleOptions,
  attempt: BootstrapAttempt,
  signal: AbortSignal,
): Promise<string> {
  if (url.protocol !== "http:") {
    throw new AgentError(
      "INVALID_ARGUMENT",
      "trust_bundle_url must begin with http:// when trust_bundle_unix_socket is set",
    );
  }
  const query = {
    "spire-attest-mode": "bootstrap",
    "spire-connection-attempts": String(attempt.failures),
    "spire-attest-start-time": new Date(attempt.startedAt).toISOString().replace(/\.\d+Z$/, "Z"),
    "spire-server-address": options.serverHost,
    "spire-server-port": String(options.serverPort),
    "spiffe-trust-domain": options.trustDomain,
  };
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  const dispatcher = await newAgent({ connect: { socketPath } });
  try {
    return await get(url, dispatcher, signal);
  } finally {
    await dispatcher.destroy();
  }
}

/** The client is large, and few agents have a URL to fetch from: it is loaded for those alone. */
async function newAgent(options: Agent.Options): Promise<Agent> {
  const undici = await import("undici");
  return new undici.Agent(options);
}

/** Redirects are not followed: the answer must come from whom the operator named. */
async function get(url: URL, dispatcher: Dispatcher, signal: AbortSignal): Promise<string> {
  try {
    const { request } = await import("undici");
    const response = await request(url, {
      dispatcher,
      signal,
      headersTimeout: TIMEOUT_MS,
      bodyTimeout: TIMEOUT_MS,
    });
    // Letting go of an unread body is no error of ours, but the stream reports it as one.
    response.body.on("error", () => {});
    if (response.statusCode !== 200) {
      response.body.destroy();
      throw new AgentError("UNAVAILABLE", `it answered ${response.statusCode}`);
    }
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of response.body as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > MAX_BYTES) throw new AgentError("UNAVAILABLE", "its answer is too long");
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString("utf8");
  } catch (error) {
    signal.throwIfAborted();
    throw new AgentError("UNAVAILABLE", `cannot fetch the trust bundle from ${url.host}`, { cause: error });
  }
}
