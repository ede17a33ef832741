/** `debug.v1.Debug`: what an administrator asks first of a server that behaves oddly. */
import {
  DebugService,
  type GetInfoResponse,
  type GetInfoResponse_Cert,
} from "../../gen/spire/api/server/debug/v1/debug.ts";
import type { Clock } from "../../lib/clock.ts";
import { AgentError, publicError } from "../../lib/errors.ts";
import { kept } from "../../lib/kept.ts";
import type { Watchable } from "../../lib/watchable.ts";
import { type Certificate, ownSpiffeId } from "../../pki/certificate.ts";
import { validateX509Svid } from "../../pki/validate.ts";
import { pathOf, type TrustDomain, trustDomainOf } from "../../spiffe/id.ts";
import type { X509Svid } from "../../spiffe/svid.ts";
import type { DataStore } from "../datastore/datastore.ts";
import { attempt } from "./failure.ts";
import { type NamedMethod, unaryMethod } from "./method.ts";

/** What the service needs. */
export interface DebugServiceDeps {
  readonly clock: Clock;
  readonly trustDomain: TrustDomain;
  readonly datastore: Pick<DataStore, "bundles" | "entries" | "nodes">;
  /** The server's own. */
  readonly svid: Watchable<X509Svid | undefined>;
}

/** The tables are counted no more often than this, however many ask. */
const KEPT_MS = 5_000;
const MAX_INT32 = 2 ** 31 - 1;

/** The service's methods. The server's uptime counts from here. */
export function debugMethods(deps: DebugServiceDeps): readonly NamedMethod[] {
  const startedAt = deps.clock.monotonic();
  const info = kept(deps.clock, KEPT_MS, () => collect(deps, (deps.clock.monotonic() - startedAt) / 1000));
  return [unaryMethod(DebugService.getInfo, info)];
}

/** The number of bundles is that of all, as SPIRE's server tells it, whatever the field is called. */
async function collect(deps: DebugServiceDeps, uptimeSeconds: number): Promise<GetInfoResponse> {
  const { bundles, entries, nodes } = deps.datastore;
  const [agentsCount, entriesCount, federatedBundlesCount, svidChain] = await Promise.all([
    attempt("failed to count agents", () => nodes.count({})),
    attempt("failed to count entries", () => entries.count({})),
    attempt("failed to count bundles", () => bundles.count()),
    chainOf(deps),
  ]);
  const uptime = Math.min(Math.floor(uptimeSeconds), MAX_INT32);
  return { svidChain, uptime, agentsCount, entriesCount, federatedBundlesCount };
}

/** The server's SVID up to the authority in the bundle by which agents trust it. */
async function chainOf({ clock, datastore, svid, trustDomain }: DebugServiceDeps): Promise<GetInfoResponse_Cert[]> {
  const bundle = await attempt("failed to fetch trust domain bundle", () => datastore.bundles.get(trustDomain));
  if (bundle === undefined) throw publicError("NOT_FOUND", "trust domain bundle not found");
  const authorities = bundle.x509Authorities.map(({ certificate }) => certificate);
  try {
    const { path } = validateX509Svid(svid.value?.chain ?? [], authorities, { now: clock.now(), trustDomain });
    return path.map(certificateToMessage);
  } catch (error) {
    throw new AgentError("INTERNAL", "failed verification against bundle", {
      publicMessage: "failed verification against bundle",
      cause: error,
    });
  }
}

function certificateToMessage(certificate: Certificate): GetInfoResponse_Cert {
  const id = ownSpiffeId(certificate);
  return {
    id: id && { trustDomain: trustDomainOf(id), path: pathOf(id) },
    expiresAt: BigInt(Math.floor(certificate.notAfter / 1000)),
    subject: certificate.subject.text,
  };
}
