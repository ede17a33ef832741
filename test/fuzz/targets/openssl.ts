/** The second opinion on certificates: node:crypto's, which is OpenSSL's. */
import { X509Certificate } from "node:crypto";

/** The certificate; undefined for what OpenSSL does not read. */
export function openssl(der: Uint8Array | undefined): X509Certificate | undefined {
  if (der === undefined) return undefined;
  try {
    return new X509Certificate(der);
  } catch {
    return undefined;
  }
}
