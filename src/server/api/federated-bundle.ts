/** `bundle.v1.Bundle` for administrators: batches that create, change and delete the bundles of other trust domains. */
import {
  type BatchDeleteFederatedBundleResponse_Result,
  BundleService,
} from "../../gen/spire/api/server/bundle/v1/bundle.ts";
import type { Bundle, BundleMask } from "../../gen/spire/api/types/bundle.ts";
import type { Status } from "../../gen/spire/api/types/status.ts";
import { publicError } from "../../lib/errors.ts";
import type { TrustBundle } from "../../spiffe/bundle.ts";
import { parseTrustDomain, type TrustDomain } from "../../spiffe/id.ts";
import type { RpcContext } from "../rpc-context.ts";
import { batchItem, done, mapItems } from "./batch.ts";
import type { BundleServiceDeps } from "./bundle.ts";
import { attempt, parseInput } from "./failure.ts";
import { type NamedMethod, unaryMethod } from "./method.ts";
import { bundleFromMessage, bundleToMessage } from "./wire-bundle.ts";

type DeleteMode = "restrict" | "dissociate" | "delete";
/** By the numbers of `BatchDeleteFederatedBundleRequest.Mode`. */
const DELETE_MODES: readonly DeleteMode[] = ["restrict", "delete", "dissociate"];

/** The batch methods. */
export function federatedBundleMethods(deps: BundleServiceDeps): readonly NamedMethod[] {
  const { bundles } = deps.datastore;
  return [
    unaryMethod(BundleService.batchCreateFederatedBundle, async (request, context) => ({
      results: await mapItems(request.bundle, (message) =>
        writeItem(deps, context, "creating", message, request.outputMask, (bundle) =>
          attempt("unable to create bundle", () =>
            deps.datastore.transaction(async (tx) => {
              const present = await tx.bundles.get(bundle.trustDomain);
              if (present !== undefined) throw publicError("ALREADY_EXISTS", "bundle already exists");
              return await tx.bundles.set(bundle);
            }),
          ),
        ),
      ),
    })),

    unaryMethod(BundleService.batchUpdateFederatedBundle, async (request, context) => ({
      results: await mapItems(request.bundle, (message) =>
        writeItem(deps, context, "updating", message, request.outputMask, (bundle) =>
          attempt("failed to update bundle", () =>
            deps.datastore.transaction(async (tx) => {
              const present = await tx.bundles.get(bundle.trustDomain);
              if (present === undefined) throw publicError("NOT_FOUND", "bundle not found");
              return await tx.bundles.set(merged(present, bundle, request.inputMask));
            }),
          ),
        ),
      ),
    })),

    unaryMethod(BundleService.batchSetFederatedBundle, async (request, context) => ({
      results: await mapItems(request.bundle, (message) =>
        writeItem(deps, context, "setting", message, request.outputMask, (bundle) =>
          attempt("failed to set bundle", () => bundles.set(bundle)),
        ),
      ),
    })),

    unaryMethod(BundleService.batchDeleteFederatedBundle, async ({ trustDomains, mode: number }, context) => {
      const mode = DELETE_MODES[number];
      if (mode === undefined) {
        throw publicError("INVALID_ARGUMENT", `failed to parse deletion mode: unhandled delete mode ${number}`);
      }
      return { results: await mapItems(trustDomains, (name) => remove(deps, context, name, mode)) };
    }),
  ];
}

async function writeItem(
  deps: BundleServiceDeps,
  context: RpcContext,
  verb: "creating" | "updating" | "setting",
  message: Bundle,
  outputMask: BundleMask | undefined,
  write: (bundle: TrustBundle) => Promise<TrustBundle>,
): Promise<{ status: Status; bundle: Bundle | undefined }> {
  const fields = { trust_domain_id: message.trustDomain };
  const { status, value } = await batchItem<TrustBundle>(context, deps.log, fields, async () => {
    const trustDomain = foreign(
      deps,
      message.trustDomain,
      `${verb} a federated bundle for the server's own trust domain is not allowed`,
    );
    const bundle = parseInput("failed to convert bundle", () => bundleFromMessage(trustDomain, message));
    return done(await write(bundle));
  });
  return { status, bundle: value && bundleToMessage(value, outputMask) };
}

async function remove(
  deps: BundleServiceDeps,
  context: RpcContext,
  name: string,
  mode: DeleteMode,
): Promise<BatchDeleteFederatedBundleResponse_Result> {
  const { status } = await batchItem(context, deps.log, { trust_domain_id: name, mode }, async () => {
    const trustDomain = foreign(deps, name, "removing the bundle for the server trust domain is not allowed");
    const found = await attempt("failed to delete federated bundle", () =>
      deps.datastore.bundles.delete(trustDomain, mode),
    );
    if (!found) throw publicError("NOT_FOUND", "bundle not found");
    return done();
  });
  return { status, trustDomain: name };
}

function foreign(deps: BundleServiceDeps, name: string, refusal: string): TrustDomain {
  const trustDomain = parseInput("trust domain argument is not valid", () => parseTrustDomain(name));
  if (trustDomain === deps.trustDomain) throw publicError("INVALID_ARGUMENT", refusal);
  return trustDomain;
}

function merged(present: TrustBundle, given: TrustBundle, mask: BundleMask | undefined): TrustBundle {
  if (mask === undefined) return given;
  return {
    ...present,
    ...(mask.x509Authorities && { x509Authorities: given.x509Authorities }),
    ...(mask.jwtAuthorities && { jwtAuthorities: given.jwtAuthorities }),
    ...(mask.refreshHint && { refreshHint: given.refreshHint }),
    ...(mask.sequenceNumber && { sequence: given.sequence }),
  };
}
