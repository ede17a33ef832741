/** Judges the certificate chain of a TLS client against the stored bundle of its trust domain. */
import { X509Certificate } from "node:crypto";
import type { Clock } from "../../lib/clock.ts";
import { AgentError } from "../../lib/errors.ts";
import { type Certificate, parseCertificate, spiffeIdOf } from "../../pki/certificate.ts";
import { validateX509Svid } from "../../pki/validate.ts";
import type { TrustBundle } from "../../spiffe/bundle.ts";
import { type SpiffeId, type TrustDomain, trustDomainOf } from "../../spiffe/id.ts";
import { type CallerSvid, callerSvid } from "../caller.ts";
import type { BundleStore } from "../datastore/datastore.ts";

/** What the verifier needs. */
export interface PeerVerifierDeps {
  readonly clock: Clock;
  readonly trustDomain: TrustDomain;
  readonly bundles: Pick<BundleStore, "get">;
  /** The only callers of other trust domains that are let in. */
  readonly adminIds: ReadonlySet<SpiffeId>;
}

/** Certificates that are looked at; more are refused unread. */
const MAX_CHAIN = 16;

/** What OpenSSL says of a chain when, as here, it knows no authorities. Anything else is a fault of the chain. */
const NO_AUTHORITIES = new Set([
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "SELF_SIGNED_CERT_IN_CHAIN",
]);

/** Reads the bundle anew for each connection. */
export class PeerVerifier {
  readonly #deps: PeerVerifierDeps;
  /** Parsed authorities by trust domain; only our own and those of administrators get here. */
  readonly #parsed = new Map<TrustDomain, readonly Certificate[]>();

  constructor(deps: PeerVerifierDeps) {
    this.#deps = deps;
  }

  /**
   * Who the client is. `chain` is what it presented, leaf first; `opensslVerdict` what the TLS library said of it.
   * Throws `UNTRUSTED` naming the check, `MALFORMED`, or `UNAVAILABLE` when the bundle cannot be read.
   */
  async verify(chain: readonly Uint8Array[], opensslVerdict: string): Promise<CallerSvid> {
    if (!NO_AUTHORITIES.has(opensslVerdict)) {
      throw new AgentError("UNTRUSTED", `OpenSSL does not accept the certificate: ${opensslVerdict}`);
    }
    const [leaf] = chain;
    if (leaf === undefined) throw new AgentError("UNTRUSTED", "the certificate chain is empty");
    if (chain.length > MAX_CHAIN) throw new AgentError("UNTRUSTED", "the certificate chain is too long");
    const claimed = spiffeIdOf(parseCertificate(leaf));
    const trustDomain = trustDomainOf(claimed);
    if (trustDomain !== this.#deps.trustDomain && !this.#deps.adminIds.has(claimed)) {
      throw new AgentError("UNTRUSTED", `${claimed} is neither of our trust domain nor an administrator's ID`);
    }
    const bundle = await this.#deps.bundles.get(trustDomain);
    if (bundle === undefined) throw new AgentError("UNTRUSTED", `there is no bundle of trust domain ${trustDomain}`);
    const {
      path,
      spiffeId,
      leaf: trusted,
    } = validateX509Svid(chain, this.#authorities(bundle), {
      now: this.#deps.clock.now(),
      expectedId: claimed,
    });
    checkWithOpenssl(path);
    return callerSvid(spiffeId, trusted);
  }

  #authorities({ trustDomain, x509Authorities }: TrustBundle): readonly Certificate[] {
    const known = this.#parsed.get(trustDomain);
    if (known !== undefined && areOf(x509Authorities, known)) return known;
    const certificates = x509Authorities.map(({ certificate }) => parseCertificate(certificate));
    this.#parsed.set(trustDomain, certificates);
    return certificates;
  }
}

/** Compares bytes: a bundle that was deleted and made anew counts its sequence from the beginning. */
function areOf(authorities: TrustBundle["x509Authorities"], certificates: readonly Certificate[]): boolean {
  return (
    authorities.length === certificates.length &&
    certificates.every(({ der }, index) => Buffer.compare(der, authorities[index]?.certificate ?? EMPTY) === 0)
  );
}

const EMPTY = new Uint8Array();

/** A second opinion on the path that our validator found: OpenSSL's on each signature, and on who may have issued whom. */
function checkWithOpenssl(path: readonly Certificate[]): void {
  const certificates = path.map(({ der }) => new X509Certificate(der));
  for (const [index, certificate] of certificates.entries()) {
    const issuer = certificates[index + 1];
    if (issuer === undefined) return;
    if (!certificate.checkIssued(issuer) || !certificate.verify(issuer.publicKey)) {
      throw new AgentError("UNTRUSTED", `OpenSSL does not accept certificate ${index} of the chain`);
    }
  }
}
