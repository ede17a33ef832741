/** Departures from the profile of endorsement certificates that are accepted, by name, and of whom. */
import { createHash } from "node:crypto";
import { AgentError } from "../../../lib/errors.ts";
import type { Certificate } from "../../../pki/certificate.ts";
import { validateChain } from "../../../pki/validate-chain.ts";

/**
 * - `no-tcg-names`: neither a subject alternative name nor an extended key usage, but a subject. Such a certificate says
 *   by its key usage alone that its key is an endorsement key, as that of a mail gateway may: only CAs that issue
 *   nothing but certificates of TPMs may leave the names out.
 */
export type EkException = "no-tcg-names";

/** Roots whose certificates may lack the TCG's names: SHA-256 of the SubjectPublicKeyInfo, in hex. */
export const NAMELESS_ROOTS: ReadonlySet<string> = new Set([
  // CN=EK/AK CA Root, OU=Google Cloud, O=Google LLC: the CA of Google's vTPM
  "56a613f57126a385dd6949294e93b0b566f96ab0573be0c2368e6f5ca779831f",
]);

/** Whether a validated path leads to one of these roots, which must be among the authorities. */
export function leadsTo(
  roots: ReadonlySet<string>,
  path: readonly Certificate[],
  authorities: readonly Certificate[],
  now: number,
): boolean {
  const among = authorities.filter(({ spki }) => roots.has(createHash("sha256").update(spki).digest("hex")));
  const anchor = path.at(-1);
  if (anchor === undefined || among.length === 0) return false;
  if (among.some(({ spki }) => Buffer.compare(spki, anchor.spki) === 0)) return true;
  try {
    // An intermediate that is trusted by itself ends the path; the root is above it.
    validateChain([anchor.der], among, { now, checkLeaf: () => {} });
    return true;
  } catch (error) {
    if (error instanceof AgentError) return false;
    throw error;
  }
}
