/** The certificate of an endorsement key, as makers leave it in a TPM's NV memory. */

import { AgentError } from "../../../lib/errors.ts";
import { parseCertificate } from "../../../pki/certificate.ts";
import { readSpki } from "../../../pki/spki.ts";

/** Longest header that is looked at: a SEQUENCE with a length in two bytes. */
const HEADER = 4;
const SEQUENCE = 0x30;

/**
 * Cuts the certificate out of what an NV index holds: indices have a fixed size, and makers pad them with 0xff or 0x00.
 * `undefined` for what is no certificate, such as an index that was defined and never written.
 */
export function trimCertificate(nv: Uint8Array): Uint8Array | undefined {
  const [tag, form, high = 0, low = 0] = nv.subarray(0, HEADER);
  // A certificate is longer than 255 bytes, and no index holds 64 KiB.
  if (tag !== SEQUENCE || form !== 0x82) return undefined;
  const length = HEADER + high * 256 + low;
  if (length > nv.length) return undefined;
  const certificate = nv.subarray(0, length);
  try {
    // That of a TPM 1.2 names a key which no server takes.
    readSpki(parseCertificate(certificate).spki);
    return certificate;
  } catch (error) {
    if (error instanceof AgentError) return undefined;
    throw error;
  }
}
