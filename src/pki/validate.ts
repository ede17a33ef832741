/** Decides whether an X509-SVID is trusted: RFC 5280 path validation, and the leaf rules of the X509-SVID standard. */
import { AgentError } from "../lib/errors.ts";
import { pathOf, type SpiffeId, type TrustDomain, trustDomainOf } from "../spiffe/id.ts";
import { type Certificate, spiffeIdOf } from "./certificate.ts";
import { Oid } from "./oid.ts";
import { type ValidatedChain, validateChain } from "./validate-chain.ts";
import { must, refuse } from "./validate-checks.ts";

/** When and whom to expect. */
export interface SvidOptions {
  /** Milliseconds since the Unix epoch. */
  readonly now: number;
  /** The only ID that is accepted. */
  readonly expectedId?: SpiffeId;
  /** The trust domain whose authorities were given; SVIDs of others are refused. */
  readonly trustDomain?: TrustDomain;
}

/** A trusted X509-SVID. */
export interface ValidatedSvid extends ValidatedChain {
  readonly spiffeId: SpiffeId;
}

/**
 * Validates a chain (leaf first) against the authorities of the SVID's own trust domain, which the caller chose: give
 * `trustDomain` or `expectedId` unless the choice was made by the leaf's ID. Throws `UNTRUSTED`; the message names the
 * check, the public message does not.
 */
export function validateX509Svid(
  chain: readonly Uint8Array[],
  authorities: readonly (Uint8Array | Certificate)[],
  options: SvidOptions,
): ValidatedSvid {
  const checkLeaf = (leaf: Certificate): void => checkSvidLeaf(leaf, options);
  const validated = validateChain(chain, authorities, { now: options.now, checkLeaf });
  return { spiffeId: spiffeIdOf(validated.leaf), ...validated };
}

/** The rules of an X509-SVID that authenticates a peer (X509-SVID 4 and 5.2), without those of the path. */
export function checkSvidLeaf(leaf: Certificate, { expectedId, trustDomain }: Omit<SvidOptions, "now">): void {
  // X509-SVID 2, 5.2: exactly one URI SAN, which is a SPIFFE ID with a path
  must(
    "leaf-uri-san",
    leaf.uriSans.length === 1,
    () => `the leaf has ${leaf.uriSans.length} URI SANs, want exactly one`,
  );
  const id = leafId(leaf);
  must("leaf-spiffe-id", pathOf(id) !== "", () => "the leaf's ID has no path");
  // Trust Domain and Bundle 3: a bundle is for SVIDs of its own trust domain
  const isOwn = trustDomain === undefined || trustDomainOf(id) === trustDomain;
  must("leaf-trust-domain", isOwn, () => `the leaf's ID ${id} is not in trust domain ${trustDomain}`);
  must(
    "leaf-expected-id",
    expectedId === undefined || id === expectedId,
    () => `the leaf's ID is ${id}, want ${expectedId}`,
  );
  // X509-SVID 4.1, 5.2: not a CA
  must("leaf-basic-constraints", !leaf.isCa, () => "the leaf is a CA");
  // X509-SVID 4.3, 5.2: digitalSignature, and no signing of certificates or CRLs
  const { keyUsage, extKeyUsage } = leaf;
  must("leaf-key-usage", keyUsage?.has("digitalSignature") === true, () => "the leaf lacks digitalSignature");
  must("leaf-key-usage", keyUsage?.has("keyCertSign") === false, () => "the leaf has keyCertSign");
  must("leaf-key-usage", keyUsage?.has("cRLSign") === false, () => "the leaf has cRLSign");
  // X509-SVID 4.4: if there is an extended key usage, both
  const isBoth =
    extKeyUsage === undefined || (extKeyUsage.includes(Oid.serverAuth) && extKeyUsage.includes(Oid.clientAuth));
  must("leaf-ext-key-usage", isBoth, () => "the leaf's extended key usage lacks serverAuth or clientAuth");
}

function leafId(leaf: Certificate): SpiffeId {
  try {
    return spiffeIdOf(leaf);
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    throw refuse("leaf-spiffe-id", error.message, error.cause);
  }
}
