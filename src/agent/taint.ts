/** Which SVIDs hang below a tainted authority, and must be issued anew although they verify. */
import { parseCertificate } from "../pki/certificate.ts";
import { subjectKeyId } from "../pki/keys.ts";
import { validateX509Svid } from "../pki/validate.ts";
import type { TrustBundle } from "../spiffe/bundle.ts";
import type { X509Svid } from "../spiffe/svid.ts";

/** Says of an SVID of the bundle's trust domain whether it hangs below a tainted authority. Remembers its verdicts. */
export type TaintCheck = (svid: X509Svid) => boolean;

/** The check for one state of a bundle. */
export function taintCheck(bundle: TrustBundle): TaintCheck {
  const tainted = bundle.x509Authorities.filter((authority) => authority.tainted);
  if (tainted.length === 0) return () => false;
  const sound = bundle.x509Authorities.filter((authority) => !authority.tainted);
  const keyIds = new Set(tainted.map(({ certificate }) => keyIdOf(certificate)));
  const soundCertificates = sound.map(({ certificate }) => certificate);
  const verdicts = new WeakMap<X509Svid, boolean>();
  return (svid) => {
    let verdict = verdicts.get(svid);
    if (verdict === undefined) {
      verdict = namesIssuer(svid, keyIds) ?? !verifies(svid, soundCertificates);
      verdicts.set(svid, verdict);
    }
    return verdict;
  };
}

/** Whether the top of the chain names a tainted key as its issuer; undefined when it names none. */
function namesIssuer(svid: X509Svid, keyIds: ReadonlySet<string>): boolean | undefined {
  const top = svid.chain.at(-1);
  const keyId = top === undefined ? undefined : parseCertificate(top).authorityKeyId;
  return keyId === undefined ? undefined : keyIds.has(hex(keyId));
}

function verifies(svid: X509Svid, authorities: readonly Uint8Array[]): boolean {
  try {
    validateX509Svid(svid.chain, authorities, { now: svid.notBefore, expectedId: svid.spiffeId });
    return true;
  } catch {
    return false;
  }
}

function keyIdOf(certificate: Uint8Array): string {
  const parsed = parseCertificate(certificate);
  return hex(parsed.subjectKeyId ?? subjectKeyId(parsed.spki));
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
