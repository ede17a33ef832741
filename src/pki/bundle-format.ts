/** Trust bundles as text: PEM certificates, or the SPIFFE bundle document. */
import { AgentError } from "../lib/errors.ts";
import { emptyBundle, type TrustBundle, type X509Authority } from "../spiffe/bundle.ts";
import type { TrustDomain } from "../spiffe/id.ts";
import { parseCertificate } from "./certificate.ts";
import { reading } from "./der-error.ts";
import { pemDecode, pemEncode } from "./pem.ts";
import { formatSpiffeBundle, MAX_AUTHORITIES, parseSpiffeBundle } from "./spiffe-bundle.ts";

/** The text formats of a bundle, named as SPIRE's `-format` flag names them. */
export type BundleFormat = "pem" | "spiffe";

/** Longest text that is read, in characters. */
export const MAX_BUNDLE_TEXT = 4 * 1024 * 1024;

/** Reads a bundle of at most 1000 authorities. Throws `MALFORMED`; PEM without a certificate is malformed, too. */
export function parseBundle(text: string, format: BundleFormat, trustDomain: TrustDomain): TrustBundle {
  if (text.length > MAX_BUNDLE_TEXT) {
    throw new AgentError("MALFORMED", `bundle: longer than ${MAX_BUNDLE_TEXT} characters`);
  }
  return format === "spiffe" ? parseSpiffeBundle(text, trustDomain) : parsePemBundle(text, trustDomain);
}

/**
 * Writes a bundle, with a final newline. PEM holds the X.509 authorities only. Throws `UNTRUSTED` in the SPIFFE format
 * for an authority whose key is not accepted.
 */
export function formatBundle(bundle: TrustBundle, format: BundleFormat): string {
  if (format === "spiffe") return `${formatSpiffeBundle(bundle)}\n`;
  return bundle.x509Authorities.map(({ certificate }) => pemEncode("CERTIFICATE", certificate)).join("");
}

function parsePemBundle(text: string, trustDomain: TrustDomain): TrustBundle {
  const blocks = pemDecode(text, "CERTIFICATE");
  if (blocks.length === 0) throw new AgentError("MALFORMED", "bundle: no certificate in it");
  if (blocks.length > MAX_AUTHORITIES) {
    throw new AgentError("MALFORMED", `bundle: more than ${MAX_AUTHORITIES} certificates`);
  }
  const authorities = new Map<string, X509Authority>();
  for (const [index, der] of blocks.entries()) {
    const certificate = reading(`bundle certificate ${index}`, () => parseCertificate(der).der);
    authorities.set(Buffer.from(der).toString("base64"), { certificate, tainted: false });
  }
  return { ...emptyBundle(trustDomain), x509Authorities: [...authorities.values()] };
}
