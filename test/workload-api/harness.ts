/** A whole Workload API on a real socket with the real addon, over an identity source that the test plays. */
import { generateKeyPairSync } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ClientReadableStream, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { SpiffeWorkloadAPIClient } from "../../src/gen/workload/workload.ts";
import { type Clock, systemClock } from "../../src/lib/clock.ts";
import type { LogFields, Logger } from "../../src/lib/log.ts";
import type { PeerCredentialSource } from "../../src/lib/native.ts";
import { systemRandom } from "../../src/lib/random.ts";
import { type Watchable, WatchableValue } from "../../src/lib/watchable.ts";
import { emptyBundle, type TrustBundle } from "../../src/spiffe/bundle.ts";
import type { AuthorizedEntry } from "../../src/spiffe/entry.ts";
import { parseSpiffeId, parseTrustDomain, type SpiffeId, type TrustDomain } from "../../src/spiffe/id.ts";
import { type Selector, selectorText } from "../../src/spiffe/selector.ts";
import type { Der, JwtSvid, WitSvid, X509Svid } from "../../src/spiffe/svid.ts";
import { defaultLimits } from "../../src/workload-api/limits.ts";
import type { ConnectedPeer } from "../../src/workload-api/peer.ts";
import type {
  IdentitySource,
  WitFollower,
  WitSource,
  WorkloadIdentity,
  WorkloadUpdate,
} from "../../src/workload-api/ports.ts";
import { WorkloadApi, type WorkloadApiOptions } from "../../src/workload-api/workload-api.ts";
import { loadAddon } from "../native/support.ts";

export const native: PeerCredentialSource = loadAddon();
const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const TRUST_DOMAIN = parseTrustDomain("example.org");
const der = (text: string): Der => new Uint8Array(Buffer.from(text)) as Der;

/** A bundle whose authorities are the given texts. */
export function bundleOf(trustDomain: string, ...authorities: string[]): TrustBundle {
  return {
    ...emptyBundle(parseTrustDomain(trustDomain)),
    x509Authorities: authorities.map((text) => ({ certificate: der(text), tainted: false })),
  };
}

/** An identity; `chain` are texts in place of certificates. */
export function identityOf(
  entryId: string,
  options: {
    readonly hint?: string;
    readonly createdAt?: number;
    readonly storeSvid?: boolean;
    readonly federatesWith?: readonly TrustDomain[];
    readonly chain?: readonly string[];
    readonly key?: X509Svid["privateKey"];
  } = {},
): WorkloadIdentity {
  const spiffeId = parseSpiffeId(`spiffe://example.org/${entryId}`);
  return {
    entry: {
      entryId,
      spiffeId,
      selectors: [{ type: "unix", value: "uid:0" }],
      federatesWith: options.federatesWith ?? [],
      admin: false,
      downstream: false,
      storeSvid: options.storeSvid ?? false,
      hint: options.hint ?? "",
      createdAt: options.createdAt ?? 0,
      revision: 0n,
      disableX509SvidPrefetch: false,
      jwtSvidIncludeJti: false,
    },
    svid: {
      spiffeId,
      chain: (options.chain ?? [`leaf of ${entryId}`, "intermediate"]).map(der),
      privateKey: options.key ?? privateKey,
      notBefore: 0,
      notAfter: Number.MAX_SAFE_INTEGER,
    },
  };
}

/** An update with these identities. */
export function updateOf(identities: readonly WorkloadIdentity[], more: Partial<WorkloadUpdate> = {}): WorkloadUpdate {
  return {
    entries: identities.map(({ entry }) => entry),
    identities,
    pending: false,
    lapsed: false,
    bundle: bundleOf(TRUST_DOMAIN, "root 1", "root 2"),
    federatedBundles: new Map(),
    ...more,
  };
}

/** A text in place of a token. */
export function jwtOf(spiffeId: SpiffeId, token: string): JwtSvid {
  return { spiffeId, token, keyId: "kid", notBefore: 0, notAfter: Number.MAX_SAFE_INTEGER };
}

/** A text in place of a WIT-SVID, with a real key. */
export function witOf(spiffeId: SpiffeId, token: string): WitSvid {
  return {
    spiffeId,
    token,
    keyId: "wit-1",
    privateKey,
    algorithm: "ES256",
    notBefore: 0,
    notAfter: Number.MAX_SAFE_INTEGER,
  };
}

/** Has the WIT-SVIDs that the test puts there, by entry ID. */
export class FakeWits implements WitSource {
  readonly svids = new Map<string, WitSvid>();
  readonly failed = new Set<string>();
  refused = false;
  /** Entries that were looked at, by those who follow. */
  readonly followers = new Map<() => void, readonly string[]>();

  follow(changed: () => void): WitFollower {
    this.followers.set(changed, []);
    const isRefused = (): boolean => this.refused;
    return {
      get isRefused() {
        return isRefused();
      },
      look: (entries) => {
        const ids = entries.map(({ entryId }) => entryId);
        this.followers.set(changed, ids);
        return entries.map((entry) => ({
          entry,
          svid: this.svids.get(entry.entryId),
          failed: this.failed.has(entry.entryId),
        }));
      },
      close: () => void this.followers.delete(changed),
    };
  }

  /** Says that something changed. */
  tell(): void {
    for (const changed of this.followers.keys()) changed();
  }
}

/** Gives what the test says, by default to everybody the same. */
export class FakeSource implements IdentitySource<ConnectedPeer> {
  readonly everybody = new WatchableValue<WorkloadUpdate>(updateOf([]));
  readonly wits = new FakeWits();
  readonly peers: ConnectedPeer[] = [];
  attested: (peer: ConnectedPeer, signal: AbortSignal) => Promise<readonly Selector[]> = async () => [];
  readonly seen: string[][] = [];
  /** Every request for a token. */
  readonly asked: { readonly entryId: string; readonly audience: readonly string[] }[] = [];
  token: (entry: AuthorizedEntry, audience: readonly string[], signal: AbortSignal) => JwtSvid | Promise<JwtSvid> = (
    entry,
    audience,
  ) => jwtOf(entry.spiffeId, `${entry.entryId}:${audience.join()}`);

  attest(peer: ConnectedPeer, signal: AbortSignal): Promise<readonly Selector[]> {
    this.peers.push(peer);
    return this.attested(peer, signal);
  }

  fetchJwtSvid(
    entry: AuthorizedEntry,
    audience: readonly string[],
    signal: () => AbortSignal,
  ): JwtSvid | Promise<JwtSvid> {
    this.asked.push({ entryId: entry.entryId, audience });
    return this.token(entry, audience, signal());
  }

  subscribe(selectors: readonly Selector[]): Watchable<WorkloadUpdate> {
    this.seen.push(selectors.map(selectorText));
    return this.everybody;
  }
}

/** Keeps every line. */
export class LogLines implements Logger {
  readonly lines: { readonly level: string; readonly message: string; readonly fields: LogFields }[] = [];
  readonly #add =
    (level: string) =>
    (message: string, fields: LogFields = {}) => {
      this.lines.push({ level, message, fields });
    };
  readonly error = this.#add("error");
  readonly warn = this.#add("warn");
  readonly info = this.#add("info");
  debug(): void {}
  trace(): void {}
  named(): Logger {
    return this;
  }
}

/** What may be set. */
export type HarnessOptions = Partial<WorkloadApiOptions> & { readonly ownPid?: number; readonly clock?: Clock };

/** The API and what belongs to it; everything is closed at the end. */
export class ApiHarness implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "workload-api-"));
  readonly path = join(this.folder, "api.sock");
  readonly log = new LogLines();
  readonly api: WorkloadApi;
  healthy = true;
  readonly #clients: SpiffeWorkloadAPIClient[] = [];

  private constructor(source: IdentitySource<ConnectedPeer>, options: HarnessOptions) {
    // The tests call from the process that serves; it is not exempt as an agent's own would be.
    const { ownPid = 0, clock = systemClock, ...settings } = options;
    chmodSync(this.folder, 0o755);
    this.api = new WorkloadApi(
      { source, native, clock, random: systemRandom, log: this.log, ownPid, healthy: () => this.healthy },
      {
        socketPath: this.path,
        limits: defaultLimits(2000),
        allowUnauthenticatedVerifiers: false,
        allowedForeignJwtClaims: [],
        rateLimits: {},
        ...settings,
      },
    );
  }

  static async open(source: IdentitySource<ConnectedPeer>, options: HarnessOptions = {}): Promise<ApiHarness> {
    const harness = new ApiHarness(source, options);
    await harness.api.open();
    return harness;
  }

  /** A client with a connection of its own. */
  client(): SpiffeWorkloadAPIClient {
    const client = new SpiffeWorkloadAPIClient(`unix://${this.path}`, credentials.createInsecure(), {
      "grpc.use_local_subchannel_pool": 1,
    });
    this.#clients.push(client);
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.close();
    await this.api.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The metadata that every call must carry. */
export function header(...values: string[]): Metadata {
  const metadata = new Metadata();
  for (const value of values.length > 0 ? values : ["true"]) metadata.add("workload.spiffe.io", value);
  return metadata;
}

/** Reads a stream message by message. */
export class Reader<T> {
  readonly #stream: ClientReadableStream<T>;
  readonly #queue: (T | ServiceError)[] = [];
  #wake: (() => void) | undefined;

  constructor(stream: ClientReadableStream<T>) {
    this.#stream = stream;
    const add = (item: T | ServiceError): void => {
      this.#queue.push(item);
      this.#wake?.();
    };
    stream.on("data", add);
    stream.on("error", add);
  }

  /** The next message. */
  async next(): Promise<T> {
    const item = await this.#item();
    if (item instanceof Error) throw item;
    return item;
  }

  /** The error that ends the stream, as `code details`. */
  async end(): Promise<string> {
    const item = await this.#item();
    return item instanceof Error ? `${item.code} ${item.details}` : "a message";
  }

  /** Messages that have come and were not asked for. */
  get waiting(): number {
    return this.#queue.length;
  }

  cancel(): void {
    this.#stream.cancel();
  }

  async #item(): Promise<T | ServiceError> {
    while (this.#queue.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#queue.shift() as T | ServiceError;
  }
}
