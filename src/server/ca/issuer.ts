/** Signs X509-SVIDs with the active authority, and checks each before it leaves. */
import type { Clock } from "../../lib/clock.ts";
import { AgentError, publicError } from "../../lib/errors.ts";
import { type Counter, type Metrics, noMetrics } from "../../lib/metrics.ts";
import type { Random } from "../../lib/random.ts";
import type { Watchable } from "../../lib/watchable.ts";
import { type Certificate, parseCertificate } from "../../pki/certificate.ts";
import { issueX509Svid, randomSerial } from "../../pki/issue.ts";
import type { Name } from "../../pki/name.ts";
import { checkSvidLeaf } from "../../pki/validate.ts";
import { isAgentId, isReserved, type SpiffeId, serverId, type TrustDomain, trustDomainOf } from "../../spiffe/id.ts";
import type { IssuedSvid, X509Issuer } from "../ports.ts";
import { BACKDATE_MS, type X509Authority } from "./authority.ts";

/** What the issuer needs. */
export interface SvidIssuerDeps {
  readonly active: Watchable<X509Authority | undefined>;
  readonly clock: Clock;
  readonly random: Random;
  readonly trustDomain: TrustDomain;
  /** Milliseconds, for workloads without a TTL of their own and for the server itself. */
  readonly x509SvidTtlMs: number;
  /** Milliseconds. */
  readonly agentTtlMs: number;
  /** Nothing is counted without. */
  readonly metrics?: Metrics;
}

/** An issued SVID with the beginning of its life. */
export interface DatedSvid extends IssuedSvid {
  /** Milliseconds since the Unix epoch. */
  readonly notBefore: number;
  /** The authority that signed. */
  readonly authorityId: string;
}

interface Leaf {
  readonly spiffeId: SpiffeId;
  readonly spki: Uint8Array;
  readonly ttlMs: number;
  readonly dnsNames?: readonly string[];
  readonly subject?: Name;
}

/** No SVID outlives its authority. All methods throw `UNAVAILABLE` while there is none, `INVALID_ARGUMENT` for an ID that is not of the kind. */
export class SvidIssuer implements X509Issuer {
  readonly #deps: SvidIssuerDeps;
  readonly #signed: Counter;

  constructor(deps: SvidIssuerDeps) {
    this.#deps = deps;
    this.#signed = (deps.metrics ?? noMetrics).counter("server_ca_sign_x509_svid", { help: "X509-SVIDs signed." });
  }

  /** Signs for an agent. */
  async issueAgentSvid(request: Pick<Leaf, "spiffeId" | "spki">): Promise<DatedSvid> {
    if (!isAgentId(request.spiffeId)) throw wrongId(request.spiffeId, "an agent");
    return await this.#issue({ ...request, ttlMs: this.#deps.agentTtlMs });
  }

  /** Signs for a workload; `ttl` in seconds, 0 for the default. */
  async issueWorkloadSvid(
    request: Pick<Leaf, "spiffeId" | "spki" | "subject"> & {
      readonly dnsNames: readonly string[];
      readonly ttl: number;
    },
  ): Promise<DatedSvid> {
    if (isReserved(request.spiffeId)) throw wrongId(request.spiffeId, "a workload");
    const { ttl, ...leaf } = request;
    return await this.#issue({ ...leaf, ttlMs: ttl > 0 ? ttl * 1000 : this.#deps.x509SvidTtlMs });
  }

  /** Signs for this server itself. */
  async issueServerSvid(request: { readonly spki: Uint8Array }): Promise<DatedSvid> {
    const { trustDomain, x509SvidTtlMs } = this.#deps;
    return await this.#issue({ spiffeId: serverId(trustDomain), spki: request.spki, ttlMs: x509SvidTtlMs });
  }

  async #issue(leaf: Leaf): Promise<DatedSvid> {
    const { active, clock, random, trustDomain } = this.#deps;
    if (trustDomainOf(leaf.spiffeId) !== trustDomain) throw wrongId(leaf.spiffeId, `trust domain ${trustDomain}`);
    const authority = active.value;
    const now = clock.now();
    if (authority === undefined || now >= authority.notAfter) {
      throw publicError("UNAVAILABLE", "X509 CA is not available for signing");
    }
    const { ttlMs, ...request } = leaf;
    const der = await issueX509Svid(authority.ca, {
      ...request,
      notBefore: now - BACKDATE_MS,
      notAfter: Math.min(now + ttlMs, authority.notAfter),
      serial: randomSerial(random),
    });
    const certificate = parseCertificate(der);
    check(certificate, leaf, authority, trustDomain);
    this.#signed.add();
    return {
      chain: [der, ...authority.ca.chain],
      notBefore: certificate.notBefore,
      notAfter: certificate.notAfter,
      serial: certificate.serial,
      authorityId: authority.authorityId,
    };
  }
}

/** What left the signer is an SVID for this ID and key and nothing more. A failure is ours. */
function check(certificate: Certificate, leaf: Leaf, authority: X509Authority, trustDomain: TrustDomain): void {
  try {
    checkSvidLeaf(certificate, { expectedId: leaf.spiffeId, trustDomain });
  } catch (error) {
    throw new AgentError("INTERNAL", "an issued X509-SVID does not keep to the profile", { cause: error });
  }
  const isSame = (a: Uint8Array | undefined, b: Uint8Array): boolean => a !== undefined && Buffer.compare(a, b) === 0;
  const holds =
    isSame(certificate.spki, leaf.spki) &&
    isSame(certificate.authorityKeyId, Buffer.from(authority.authorityId, "hex")) &&
    certificate.keyUsage?.size === 3 &&
    certificate.notBefore < certificate.notAfter &&
    certificate.notAfter <= authority.notAfter;
  if (!holds) throw new AgentError("INTERNAL", "an issued X509-SVID is not what was asked for");
}

function wrongId(id: SpiffeId, wanted: string): AgentError {
  return publicError("INVALID_ARGUMENT", `${id} is not the ID of ${wanted}`);
}
