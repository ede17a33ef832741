/** Encodes the answers of the X.509 methods, once for all callers that may have the same. */
import { X509BundlesResponse, type X509SVID, X509SVIDResponse } from "../gen/workload/workload.ts";
import { Reply } from "../lib/rpc/transport.ts";
import type { TrustBundle } from "../spiffe/bundle.ts";
import type { X509Svid } from "../spiffe/svid.ts";
import type { WorkloadIdentity, WorkloadUpdate } from "./ports.ts";
import { remember } from "./remember.ts";
import { bundleMap, encodeBundles, federatedWith, servedBy } from "./served.ts";

/** The encoded parts of an SVID that outlive updates. */
interface EncodedSvid {
  readonly chain: Buffer;
  /** PKCS#8, DER, in the clear: the wire format. */
  readonly key: Buffer;
}

/** Keeps what it encoded as long as the update, SVID or bundle that it came from lives. */
export class X509Encoder {
  readonly #svidReplies = new WeakMap<WorkloadUpdate, Reply | null>();
  readonly #bundleReplies = new WeakMap<WorkloadUpdate, Reply>();
  readonly #svids = new WeakMap<X509Svid, EncodedSvid>();
  readonly #bundles = new WeakMap<TrustBundle, Buffer>();

  /** The answer to `FetchX509SVID`; null when there is no identity. */
  svids(update: WorkloadUpdate): Reply | null {
    return remember(this.#svidReplies, update, () => {
      const identities = servedIdentities(update.identities);
      if (identities.length === 0) return null;
      const bundle = this.#bundle(update.bundle);
      const message: X509SVIDResponse = {
        svids: identities.map((identity) => this.#svid(identity, bundle)),
        crl: [],
        federatedBundles: encodeBundles(federatedWith(update, identities), (one) => this.#bundle(one)),
      };
      return new Reply(X509SVIDResponse.encode(message).finish());
    });
  }

  /** The answer to `FetchX509Bundles`: federated bundles only for callers with an identity. */
  bundles(update: WorkloadUpdate): Reply {
    return remember(this.#bundleReplies, update, () => {
      const message: X509BundlesResponse = { crl: [], bundles: bundleMap(update, (bundle) => this.#bundle(bundle)) };
      return new Reply(X509BundlesResponse.encode(message).finish());
    });
  }

  #svid({ entry, svid }: WorkloadIdentity, bundle: Buffer): X509SVID {
    const { chain, key } = remember(this.#svids, svid, () => ({
      chain: Buffer.concat(svid.chain),
      key: svid.privateKey.export({ type: "pkcs8", format: "der" }),
    }));
    return { spiffeId: svid.spiffeId, x509Svid: chain, x509SvidKey: key, bundle, hint: entry.hint };
  }

  #bundle(bundle: TrustBundle): Buffer {
    return remember(this.#bundles, bundle, () =>
      Buffer.concat(bundle.x509Authorities.map((authority) => authority.certificate)),
    );
  }
}

/** The identities as callers see them, in the same order; see {@link servedBy}. */
export function servedIdentities(identities: readonly WorkloadIdentity[]): readonly WorkloadIdentity[] {
  return servedBy(identities, ({ entry }) => entry);
}
