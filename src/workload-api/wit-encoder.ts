/** Encodes the answers of the WIT methods, once for all callers that may have the same. */
import { WITBundlesResponse, type WITSVID, WITSVIDResponse } from "../gen/workload/workload.ts";
import { Reply } from "../lib/rpc/transport.ts";
import { formatJwks } from "../pki/jwks.ts";
import type { TrustBundle } from "../spiffe/bundle.ts";
import type { AuthorizedEntry } from "../spiffe/entry.ts";
import type { WitSvid } from "../spiffe/svid.ts";
import type { WorkloadUpdate } from "./ports.ts";
import { remember } from "./remember.ts";
import { bundleMap } from "./served.ts";

/** A WIT-SVID for one of the caller's entries. */
export interface EntryWit {
  readonly entry: AuthorizedEntry;
  readonly svid: WitSvid;
}

/** Keeps what it encoded as long as the update, bundle or WIT-SVID that it came from lives. */
export class WitEncoder {
  readonly #bundleReplies = new WeakMap<WorkloadUpdate, Reply>();
  readonly #jwks = new WeakMap<TrustBundle, string>();
  readonly #keys = new WeakMap<WitSvid, string>();
  /** The latest answer that begins with a WIT-SVID. */
  readonly #replies = new WeakMap<WitSvid, { readonly items: readonly EntryWit[]; readonly reply: Reply }>();

  /** The answer to `FetchWITSVID`; there is at least one item (Workload API 7.2.1). */
  svids(items: readonly EntryWit[]): Reply {
    const first = items[0]?.svid;
    const known = first === undefined ? undefined : this.#replies.get(first);
    if (known !== undefined && sameItems(known.items, items)) return known.reply;
    const svids = items.map(({ entry, svid }): WITSVID => {
      return { spiffeId: svid.spiffeId, witSvid: svid.token, witSvidKey: this.#keyOf(svid), hint: entry.hint };
    });
    const reply = new Reply(WITSVIDResponse.encode({ svids }).finish());
    if (first !== undefined) this.#replies.set(first, { items, reply });
    return reply;
  }

  /** The answer to `FetchWITBundles`: federated bundles only for callers with an identity. */
  bundles(update: WorkloadUpdate): Reply {
    return remember(this.#bundleReplies, update, () => {
      const bundles = bundleMap(update, (bundle) => this.#jwksOf(bundle));
      return new Reply(WITBundlesResponse.encode({ bundles }).finish());
    });
  }

  /** A private JWK, in the clear: the wire format. */
  #keyOf(svid: WitSvid): string {
    return remember(this.#keys, svid, () => {
      return JSON.stringify({ ...svid.privateKey.export({ format: "jwk" }), alg: svid.algorithm });
    });
  }

  /** WIT-SVID 6.1: with `use` and `kid`. */
  #jwksOf(bundle: TrustBundle): string {
    return remember(this.#jwks, bundle, () => formatJwks(bundle.witAuthorities, "wit-svid"));
  }
}

/** Two entries may share an identity and differ in their hints. */
function sameItems(a: readonly EntryWit[], b: readonly EntryWit[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ entry, svid }, index) => svid === b[index]?.svid && entry.hint === b[index]?.entry.hint)
  );
}
