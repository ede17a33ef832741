/** How the server speaks TLS: the one place that says it, used at start and at every rotation alike. */
import { constants } from "node:crypto";
import type { SecureContextOptions } from "node:tls";
import { pemEncode } from "../../pki/pem.ts";
import type { X509Svid } from "../../spiffe/svid.ts";

/** Hybrids first; the classical curves for peers that know no other. */
const PREFERRED_GROUPS = "X25519MLKEM768:X25519:P-256:P-384";
/** Hybrids only. */
const POST_QUANTUM_GROUPS = "X25519MLKEM768:SecP256r1MLKEM768:SecP384r1MLKEM1024";
/** Seconds; sessions are never resumed, this is what is left if one was stored all the same. */
const SESSION_TIMEOUT_S = 1;

/**
 * The whole context. Node takes every setting from the options that it is given last: one that is missing in a
 * later `setSecureContext` falls back to Node's default, which for the version is TLS 1.2.
 */
export function contextOptions(svid: X509Svid, requirePqKem: boolean): SecureContextOptions {
  return {
    cert: svid.chain.map((certificate) => pemEncode("CERTIFICATE", certificate)).join(""),
    key: svid.privateKey.export({ type: "pkcs8", format: "pem" }),
    // No authorities: bundles change, are judged per connection (`peer-verifier.ts`), and Node forgets the chain that
    // a client showed as soon as it can verify it itself.
    ca: [],
    minVersion: "TLSv1.3",
    maxVersion: "TLSv1.3",
    ecdhCurve: requirePqKem ? POST_QUANTUM_GROUPS : PREFERRED_GROUPS,
    // A resumed session would skip the client's certificate, and with it the check against today's bundle.
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
    sessionTimeout: SESSION_TIMEOUT_S,
  };
}
