/** Decides whether an X509-SVID is trusted: RFC 5280 path validation, then the leaf rules of the X509-SVID standard. */
import { AgentError } from "../lib/errors.ts";
import type { SpiffeId } from "../spiffe/id.ts";
import type { Certificate } from "./certificate.ts";

/** A trusted chain. */
export interface ValidatedChain {
  readonly leaf: Certificate;
  /** Leaf first, trust anchor last. */
  readonly path: readonly Certificate[];
}

/**
 * Validates a chain (leaf first) against the authorities of the SVID's own trust domain, which the caller chose.
 * Throws `UNTRUSTED`; the message names the check, the public message does not.
 */
export function validateX509Svid(
  _chain: readonly Uint8Array[],
  _authorities: readonly (Uint8Array | Certificate)[],
  _options: { readonly now: number; readonly expectedId?: SpiffeId },
): ValidatedChain & { readonly spiffeId: SpiffeId } {
  throw new AgentError("INTERNAL", "not built yet");
}
