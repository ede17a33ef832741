/** The checks that a TPM's proof must pass, by name: the log names the one that failed, the peer hears that it failed. */
import { AgentError } from "../../../lib/errors.ts";

/** Every check. The page `docs/attestors/tpm.md` lists them in the order in which they are made. */
export type TpmCheck =
  | "payload"
  | "ek-encoding"
  | "ek-key-type"
  | "ek-matches-certificate"
  | "ek-certificate-chain"
  | "ek-certificate-profile"
  | "ek-known"
  | "ak-encoding"
  | "ak-key-strength"
  | "ak-attributes"
  | "ak-scheme"
  | "ak-creation-type"
  | "ak-creation-magic"
  | "ak-creation-data"
  | "ak-creation-name"
  | "ak-creation-signature"
  | "challenge-response"
  | "credential"
  | "quote-offered"
  | "quote-bank"
  | "quote-encoding"
  | "quote-type"
  | "quote-magic"
  | "quote-nonce"
  | "quote-signature-hash"
  | "quote-signature"
  | "quote-selection"
  | "quote-pcrs"
  | "quote-pcr-digest"
  | "pcr-policy";

/** What the peer hears of any of them. */
export const ATTESTATION_FAILED = "attestation failed";

/** Strangers write into certificates and JSON what ends in details: the log takes so much of it. */
const MAX_DETAIL = 600;

/** A refusal: the message names the check, the public message does not. */
export function refuse(check: TpmCheck, detail: string, cause?: unknown): AgentError {
  const isLong = detail.length > MAX_DETAIL;
  const short = isLong ? `${detail.slice(0, MAX_DETAIL)}…` : detail;
  return new AgentError("PERMISSION_DENIED", `tpm: ${check}: ${short}`, {
    publicMessage: ATTESTATION_FAILED,
    // What is underneath says the same at its full length.
    ...(cause === undefined || isLong ? {} : { cause }),
  });
}

/** Throws a refusal by that check unless `holds`. */
export function must(check: TpmCheck, holds: boolean, detail: string | (() => string)): void {
  if (!holds) throw refuse(check, typeof detail === "string" ? detail : detail());
}

/** Runs a parser; what it refuses is refused by that check. */
export function parsed<T>(check: TpmCheck, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof AgentError && (error.code === "MALFORMED" || error.code === "UNTRUSTED"))
      throw refuse(check, error.message, error);
    throw error;
  }
}
