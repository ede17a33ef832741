/** How WIT-SVIDs are had: public keys signed in batches, tokens judged by the bundle that workloads get. */
import type { Clock } from "../lib/clock.ts";
import { errorCode } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import { type CallCounter, callCounter, type Metrics } from "../lib/metrics.ts";
import { type KeyType, spkiOf } from "../pki/keys.ts";
import type { AuthorizedEntry } from "../spiffe/entry.ts";
import type { WitSvid } from "../spiffe/svid.ts";
import { acceptIssuedWit } from "./issued-wit.ts";
import type { ServerLink } from "./server-link.ts";
import type { SigningWork } from "./signer.ts";
import { judgeEach, type SigningOutcome } from "./signing-outcomes.ts";
import type { QueuedEntry } from "./signing-queue.ts";
import type { SvidCache } from "./svid-cache.ts";
import { type WitSvids, witTaintCheck } from "./wit-svids.ts";
import { maxBatchOf, withKeys } from "./workload-keys.ts";
import type { Issued } from "./workload-update.ts";

/** Dependencies and options of `WitSigning`. */
export interface WitSigningDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly cache: SvidCache;
  readonly wits: WitSvids;
  readonly link: ServerLink;
  /** Type of the workloads' keys. */
  readonly keyType: KeyType;
}

/** WIT-SVID 3.2: the one algorithm that proofs of a key are signed with. */
const ALGORITHMS: Readonly<Record<KeyType, string>> = {
  "ec-p256": "ES256",
  "ec-p384": "ES384",
  "rsa-2048": "RS256",
  "rsa-4096": "RS256",
};

/** For `Signer`. */
export class WitSigning implements SigningWork<WitSvid> {
  readonly name = "WIT-SVIDs";
  readonly one = "a WIT-SVID";
  readonly topic = "wit_signing";
  readonly maxBatch: number;
  readonly #deps: WitSigningDeps;
  readonly #counted: CallCounter;

  constructor(deps: WitSigningDeps) {
    this.#deps = deps;
    this.maxBatch = maxBatchOf(deps.keyType);
    this.#counted = callCounter(deps.metrics, deps.clock, "manager_fetch_wit_svids_updates", {
      help: "Batches of WIT-SVIDs asked of the server.",
    });
  }

  entries(): Iterable<QueuedEntry<WitSvid>> {
    return this.#deps.wits.entries();
  }

  /** An entry that nobody follows is not tried again, and so is no problem once it has rested. */
  remembers(entryId: string, rests: boolean): boolean {
    const { cache, wits } = this.#deps;
    return cache.entry(entryId) !== undefined && (rests || wits.isFollowed(entryId));
  }

  onWanted(listener: () => void): () => void {
    return this.#deps.wits.onWanted(listener);
  }

  taintCheck(): (svid: WitSvid) => boolean {
    return witTaintCheck(this.#deps.cache.bundle);
  }

  async sign(entries: readonly AuthorizedEntry[], signal: AbortSignal): Promise<readonly SigningOutcome<WitSvid>[]> {
    const { cache, clock, link, log, wits, keyType } = this.#deps;
    const algorithm = ALGORITHMS[keyType];
    const requests = await withKeys(entries, keyType, (entry, privateKey) => {
      return { entry, entryId: entry.entryId, privateKey, publicKey: spkiOf(privateKey), algorithm };
    });
    try {
      const results = await this.#counted(() => link.use((client) => client.batchNewWitSvid(requests, signal), signal));
      wits.refusal.forget();
      const { bundle } = cache;
      return await judgeEach(requests, results, (signed, request) =>
        acceptIssuedWit(signed, { ...request, spiffeId: request.entry.spiffeId, bundle, now: clock.now() }),
      );
    } catch (error) {
      if (errorCode(error) !== "UNIMPLEMENTED") throw error;
      log.info("The server signs no WIT-SVIDs");
      wits.refused();
      return [];
    }
  }

  put(issued: readonly Issued<WitSvid>[]): void {
    this.#deps.wits.put(issued);
  }

  markFailed(entryIds: Iterable<string>): void {
    this.#deps.wits.markFailed(entryIds);
  }
}
