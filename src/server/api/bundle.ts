/** `bundle.v1.Bundle`: the trust domain's own bundle, and those of others for who may read one at a time. */
import { type AppendBundleRequest, BundleService } from "../../gen/spire/api/server/bundle/v1/bundle.ts";
import type { Bundle } from "../../gen/spire/api/types/bundle.ts";
import { publicError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import type { TrustBundle } from "../../spiffe/bundle.ts";
import { parseTrustDomain, type TrustDomain } from "../../spiffe/id.ts";
import type { DataStore } from "../datastore/datastore.ts";
import { attempt, parseInput } from "./failure.ts";
import { type NamedMethod, unaryMethod } from "./method.ts";
import { bundleToMessage, keyAuthoritiesFromMessage, x509AuthoritiesFromMessage } from "./wire-bundle.ts";

/** What the service needs. */
export interface BundleServiceDeps {
  readonly log: Logger;
  readonly trustDomain: TrustDomain;
  readonly datastore: Pick<DataStore, "bundles" | "transaction">;
}

/** The methods about single bundles. */
export function bundleMethods(deps: BundleServiceDeps): readonly NamedMethod[] {
  const { bundles } = deps.datastore;
  return [
    unaryMethod(BundleService.getBundle, async ({ outputMask }, context) => {
      context.audit({ trust_domain_id: deps.trustDomain });
      const bundle = await attempt("failed to fetch bundle", () => bundles.get(deps.trustDomain));
      if (bundle === undefined) throw publicError("NOT_FOUND", "bundle not found");
      return bundleToMessage(bundle, outputMask);
    }),

    unaryMethod(BundleService.getFederatedBundle, async ({ trustDomain: name, outputMask }, context) => {
      const trustDomain = parseInput("trust domain argument is not valid", () => parseTrustDomain(name));
      context.audit({ trust_domain_id: trustDomain });
      if (trustDomain === deps.trustDomain) {
        throw publicError(
          "INVALID_ARGUMENT",
          "getting a federated bundle for the server's own trust domain is not allowed",
        );
      }
      const bundle = await attempt("failed to fetch bundle", () => bundles.get(trustDomain));
      if (bundle === undefined) throw publicError("NOT_FOUND", "bundle not found");
      return bundleToMessage(bundle, outputMask);
    }),

    unaryMethod(BundleService.countBundles, async () => ({
      count: await attempt("failed to count bundles", () => bundles.count()),
    })),

    unaryMethod(BundleService.appendBundle, (request, context) => {
      context.audit({ trust_domain_id: deps.trustDomain });
      return append(deps, request);
    }),

    unaryMethod(BundleService.listFederatedBundles, async ({ pageSize, pageToken, outputMask }) => {
      const size = Math.max(0, pageSize);
      const page = await attempt("failed to list bundles", () =>
        bundles.list({ size, token: size > 0 ? pageToken : "" }),
      );
      const foreign = page.items.filter(({ trustDomain }) => trustDomain !== deps.trustDomain);
      return { bundles: foreign.map((bundle) => bundleToMessage(bundle, outputMask)), nextPageToken: page.nextToken };
    }),
  ];
}

async function append(deps: BundleServiceDeps, request: AppendBundleRequest): Promise<Bundle> {
  if (request.jwtAuthorities.length === 0 && request.x509Authorities.length === 0) {
    throw publicError("INVALID_ARGUMENT", "no authorities to append");
  }
  const jwtAuthorities = parseInput("failed to convert JWT authority", () =>
    keyAuthoritiesFromMessage(request.jwtAuthorities),
  );
  const x509Authorities = parseInput("failed to convert X.509 authority", () =>
    x509AuthoritiesFromMessage(request.x509Authorities),
  );
  const added = {
    trustDomain: deps.trustDomain,
    x509Authorities,
    jwtAuthorities,
    witAuthorities: [],
    refreshHint: 0,
    sequence: 0n,
  };
  const bundle = await attempt("failed to append bundle", () =>
    deps.datastore.transaction(async (tx) => {
      checkKeyIds(added, await tx.bundles.get(deps.trustDomain));
      return await tx.bundles.append(added);
    }),
  );
  return bundleToMessage(bundle, request.outputMask);
}

/** A key ID names one key of the bundle, whatever it signs (WIT-SVID 6.1). Throws `INVALID_ARGUMENT`. */
function checkKeyIds({ jwtAuthorities }: TrustBundle, present: TrustBundle | undefined): void {
  const taken = new Set(present?.witAuthorities.map(({ keyId }) => keyId));
  const clash = jwtAuthorities.find(({ keyId }) => taken.has(keyId));
  if (clash === undefined) return;
  throw publicError("INVALID_ARGUMENT", `key ID ${JSON.stringify(clash.keyId)} is that of a WIT authority`);
}
