/** Finds and validates a path from a leaf to an authority (RFC 5280 section 6), whatever the leaf is for. */
import { AgentError } from "../lib/errors.ts";
import type { Certificate } from "./certificate.ts";
import type { ValidatedChain } from "./validate.ts";

/** What `validateChain` needs to know besides the certificates. */
export interface ChainOptions {
  /** Milliseconds since the Unix epoch. */
  readonly now: number;
  /** Rules of the leaf; throws `UNTRUSTED`. Runs before any signature is verified. */
  readonly checkLeaf: (leaf: Certificate) => void;
  /** Critical extensions (object identifiers) of the leaf which the caller handles itself. */
  readonly handledExtensions?: ReadonlySet<string>;
}

/** Validates a chain, leaf first, intermediates in any order, against authorities that the caller trusts. Throws `UNTRUSTED`. */
export function validateChain(
  _chain: readonly Uint8Array[],
  _authorities: readonly (Uint8Array | Certificate)[],
  _options: ChainOptions,
): ValidatedChain {
  throw new AgentError("INTERNAL", "not built yet");
}
