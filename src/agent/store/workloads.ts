/** What is stored of workloads, as bytes and back; inside a sealed file, whose seal vouches for where they come from. */
import { createPrivateKey, type KeyObject } from "node:crypto";
import { StoredWorkloads } from "../../gen/holdfast/agent/v1/store.ts";
import { AgentError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import { turn } from "../../lib/turn.ts";
import { pkcs8Of } from "../../pki/keys.ts";
import type { TrustBundle } from "../../spiffe/bundle.ts";
import type { AuthorizedEntry } from "../../spiffe/entry.ts";
import { parseTrustDomain, type SpiffeId, type TrustDomain } from "../../spiffe/id.ts";
import type { Der, X509Svid } from "../../spiffe/svid.ts";
import type { AskedFor } from "../jwt-reserve-plan.ts";
import { toAuthorizedEntry, toTrustBundle } from "../wire.ts";
import type { IssuedSvid } from "../workload-update.ts";
import { askedFor, askedMessage } from "./asked.ts";
import { bundleMessage, entryMessage } from "./messages.ts";

/** An entry with its SVID, where there was one. */
export interface StoredEntry {
  readonly entry: AuthorizedEntry;
  readonly issued?: IssuedSvid | undefined;
}

/** All that the agent keeps of its workloads. */
export interface WorkloadSnapshot {
  /** Of the agent's own trust domain. */
  readonly bundle: TrustBundle;
  readonly federatedBundles: ReadonlyMap<TrustDomain, TrustBundle>;
  readonly entries: Iterable<StoredEntry>;
  /** For which JWT-SVIDs workloads asked, with those that are held in reserve. */
  readonly audiences: Iterable<AskedFor>;
  /** When the server last said all this, in milliseconds since the Unix epoch; 0 for never. */
  readonly syncedAt: number;
}

/** Entries that are encoded before others get a turn: a millisecond or two. */
const ENTRIES_PER_PIECE = 32;
/** They are shorter. */
const AUDIENCES_PER_PIECE = 128;

/** Remembers the bytes of keys between writings, for writing a key takes longer than all else. */
export class WorkloadCodec {
  readonly #keys = new WeakMap<X509Svid, Uint8Array>();
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** The snapshot in pieces that are one message together, as repeated fields may come in any number of parts. */
  async *encode(snapshot: WorkloadSnapshot): AsyncGenerator<Uint8Array, void, void> {
    const bundles = [snapshot.bundle, ...snapshot.federatedBundles.values()].map(bundleMessage);
    const syncedAt = BigInt(Math.floor(snapshot.syncedAt));
    yield StoredWorkloads.encode({ ...StoredWorkloads.create(), bundles, syncedAt }).finish();
    let audiences: StoredWorkloads["audiences"] = [];
    for (const asked of Array.from(snapshot.audiences)) {
      audiences.push(askedMessage(asked));
      if (audiences.length < AUDIENCES_PER_PIECE) continue;
      yield StoredWorkloads.encode({ ...StoredWorkloads.create(), audiences }).finish();
      audiences = [];
      await turn();
    }
    yield StoredWorkloads.encode({ ...StoredWorkloads.create(), audiences }).finish();
    let piece: StoredWorkloads["entries"] = [];
    for (const { entry, issued } of snapshot.entries) {
      piece.push({ entry: entryMessage(entry), svid: issued && this.#svidMessage(issued) });
      if (piece.length < ENTRIES_PER_PIECE) continue;
      yield encodeEntries(piece);
      piece = [];
      await turn();
    }
    yield encodeEntries(piece);
  }

  /** Reads a snapshot of this trust domain. Entries that cannot be read are left out. Throws `MALFORMED`. */
  decode(bytes: Uint8Array, trustDomain: TrustDomain): WorkloadSnapshot {
    const stored = decodeMessage(bytes);
    const [own, ...federated] = stored.bundles;
    if (own === undefined) throw new AgentError("MALFORMED", "it holds no bundle");
    return {
      bundle: toTrustBundle(own, trustDomain, this.#log),
      federatedBundles: new Map(
        federated.map((bundle) => {
          const name = parseTrustDomain(bundle.trustDomain);
          return [name, toTrustBundle(bundle, name, this.#log)];
        }),
      ),
      entries: stored.entries.flatMap((one) => this.#readEntry(one, trustDomain)),
      audiences: stored.audiences.map(askedFor),
      syncedAt: Number(stored.syncedAt),
    };
  }

  #svidMessage({ svid, rotateAt, entry }: IssuedSvid): StoredWorkloads["entries"][number]["svid"] {
    const privateKey = this.#keys.get(svid) ?? pkcs8Of(svid.privateKey);
    this.#keys.set(svid, privateKey);
    return {
      chain: [...svid.chain],
      privateKey,
      notBefore: BigInt(svid.notBefore),
      notAfter: BigInt(svid.notAfter),
      rotateAt: BigInt(Math.floor(rotateAt)),
      revision: entry.revision,
    };
  }

  #readEntry({ entry: message, svid }: StoredWorkloads["entries"][number], trustDomain: TrustDomain): StoredEntry[] {
    const entry = message && toAuthorizedEntry(message, trustDomain, this.#log);
    if (entry === undefined) return [];
    if (svid === undefined || svid.chain.length === 0 || svid.privateKey.length === 0) return [{ entry }];
    const key = new Uint8Array(svid.privateKey);
    const read: X509Svid = new LazySvid(entry.spiffeId, {
      chain: svid.chain.map((der) => new Uint8Array(der) as Der),
      key,
      notBefore: Number(svid.notBefore),
      notAfter: Number(svid.notAfter),
    });
    this.#keys.set(read, key);
    return [
      { entry, issued: { entry: { ...entry, revision: svid.revision }, svid: read, rotateAt: Number(svid.rotateAt) } },
    ];
  }
}

/** Makes the key when it is first used: reading ten thousand of them would take longer than a start may. */
class LazySvid implements X509Svid {
  readonly spiffeId: SpiffeId;
  readonly chain: readonly Der[];
  readonly notBefore: number;
  readonly notAfter: number;
  readonly #der: Uint8Array;
  #key: KeyObject | undefined;

  constructor(
    spiffeId: SpiffeId,
    stored: {
      readonly chain: readonly Der[];
      readonly key: Uint8Array;
      readonly notBefore: number;
      readonly notAfter: number;
    },
  ) {
    this.spiffeId = spiffeId;
    this.chain = stored.chain;
    this.notBefore = stored.notBefore;
    this.notAfter = stored.notAfter;
    this.#der = stored.key;
  }

  get privateKey(): KeyObject {
    this.#key ??= createPrivateKey({ key: Buffer.from(this.#der), format: "der", type: "pkcs8" });
    return this.#key;
  }
}

function encodeEntries(entries: StoredWorkloads["entries"]): Uint8Array {
  return StoredWorkloads.encode({ ...StoredWorkloads.create(), entries }).finish();
}

function decodeMessage(bytes: Uint8Array): StoredWorkloads {
  try {
    return StoredWorkloads.decode(bytes);
  } catch (error) {
    throw new AgentError("MALFORMED", "its content has the wrong form", { cause: error });
  }
}
