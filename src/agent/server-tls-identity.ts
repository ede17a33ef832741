/** Who is at the other end: what is checked of the certificates that a server presents. */
import type { DetailedPeerCertificate } from "node:tls";
import { AgentError } from "../lib/errors.ts";
import { parseCertificate, spiffeIdOf } from "../pki/certificate.ts";
import { validateX509Svid } from "../pki/validate.ts";
import type { SpiffeId } from "../spiffe/id.ts";

/** More certificates than this are no chain of a SPIFFE server. */
const MAX_CHAIN = 10;

/** The certificates in the order presented, leaf first. Node links each to its issuer, the root to itself. */
export function presentedChain(peer: DetailedPeerCertificate): Uint8Array[] {
  const chain: Uint8Array[] = [];
  let current: DetailedPeerCertificate | undefined = peer;
  while (current?.raw !== undefined) {
    if (chain.length === MAX_CHAIN) throw new AgentError("UNTRUSTED", "the server presented too many certificates");
    chain.push(new Uint8Array(current.raw));
    const issuer: DetailedPeerCertificate | undefined = current.issuerCertificate;
    current = issuer === current || issuer?.fingerprint256 === current.fingerprint256 ? undefined : issuer;
  }
  if (chain.length === 0) throw new AgentError("UNTRUSTED", "the server presented no certificate");
  return chain;
}

/** Verifies the chain by the rules of X509-SVIDs, beside OpenSSL's verdict. Throws `UNTRUSTED`. */
export function checkPresentedChain(
  peer: DetailedPeerCertificate,
  authorities: readonly Uint8Array[],
  options: { readonly now: number; readonly expectedId: SpiffeId },
): void {
  const chain = presentedChain(peer);
  checkId(chain, options.expectedId);
  validateX509Svid(chain, authorities, options);
}

/** For insecure bootstrap: no chain is verified, but the leaf must at least claim to be the server. Throws `UNTRUSTED`. */
export function checkUnverifiedLeaf(peer: DetailedPeerCertificate, expectedId: SpiffeId): void {
  checkId(presentedChain(peer), expectedId);
}

/** Before the whole validation, because a wrong ID is the mistake that a person can make and must read about. */
function checkId(chain: readonly Uint8Array[], expectedId: SpiffeId): void {
  const [leaf] = chain;
  if (leaf === undefined) throw new AgentError("UNTRUSTED", "the server presented no certificate");
  const id = spiffeIdOf(parseCertificate(leaf));
  if (id !== expectedId) {
    throw new AgentError("UNTRUSTED", `the server is ${id}, not ${expectedId}: check trust_domain and server_address`);
  }
}
