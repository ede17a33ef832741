/** Says in words why a TLS handshake with the server failed, and what an operator can do about it. */
import { AgentError } from "../lib/errors.ts";
import type { TrustDomain } from "../spiffe/id.ts";

/** OpenSSL's verdicts that mean: no authority of the bundle issued this. */
const UNKNOWN_AUTHORITY = new Set([
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "CERT_SIGNATURE_FAILURE",
]);

/** Verdicts of time: a clock that is off, on either side, mends itself. */
const TIME = new Set(["CERT_NOT_YET_VALID", "CERT_HAS_EXPIRED"]);

/** Alerts and errors that mean: no protocol version or key exchange in common. */
const NO_COMMON_PROTOCOL = new Set([
  "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION",
  "ERR_SSL_UNSUPPORTED_PROTOCOL",
  "ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE",
  "ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE",
  "ERR_SSL_TLSV1_ALERT_HANDSHAKE_FAILURE",
]);

/**
 * `UNTRUSTED` when the server cannot be the one that we trust, else `UNAVAILABLE`: trying again may work.
 * An `AgentError` is returned as it is.
 */
export function describeTlsFailure(error: unknown, trustDomain: TrustDomain): AgentError {
  if (error instanceof AgentError) return error;
  const code = errnoOf(error);
  if (UNKNOWN_AUTHORITY.has(code)) {
    return new AgentError(
      "UNTRUSTED",
      `the server's certificate does not chain to the trust bundle of ${trustDomain}: check trust_domain, server_address and the trust bundle`,
      { cause: error },
    );
  }
  if (TIME.has(code)) {
    return new AgentError("UNAVAILABLE", "the server's certificate is outside its validity: check both clocks", {
      cause: error,
    });
  }
  if (NO_COMMON_PROTOCOL.has(code)) {
    return new AgentError(
      "UNTRUSTED",
      "the server speaks no TLS 1.3 with a key exchange that we accept (see require_pq_kem)",
      { cause: error },
    );
  }
  if (code.includes("ALERT")) {
    return new AgentError("UNAVAILABLE", "the server ended the TLS connection, perhaps refusing our certificate", {
      cause: error,
    });
  }
  return new AgentError("UNAVAILABLE", "the TLS connection to the server failed", { cause: error });
}

function errnoOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}
