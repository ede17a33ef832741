/** Judges an endorsement key's certificate: its chain to a vendor, and the profile of such certificates. */
import { AgentError } from "../../../lib/errors.ts";
import type { Certificate } from "../../../pki/certificate.ts";
import { isEmptyName, relativeNames } from "../../../pki/name.ts";
import { Oid } from "../../../pki/oid.ts";
import { readSpki } from "../../../pki/spki.ts";
import { validateChain } from "../../../pki/validate-chain.ts";
import { must, parsed, refuse } from "./checks.ts";
import { type EkException, leadsTo, NAMELESS_ROOTS } from "./ek-exceptions.ts";

/** What the vendor certified about the TPM; each as it stands in the certificate, such as `id:49465800`. */
export interface TpmModel {
  readonly manufacturer: string;
  readonly model: string;
  readonly version: string;
}

/** A certificate that was accepted. */
export interface EkVerdict {
  /** Absent where an exception let it be. */
  readonly model: TpmModel | undefined;
  readonly exceptions: readonly EkException[];
}

/** tcg-kp-EKCertificate. */
const EK_CERTIFICATE_USAGE = "2.23.133.8.1";
const TPM_MANUFACTURER = "2.23.133.2.1";
const TPM_MODEL = "2.23.133.2.2";
const TPM_VERSION = "2.23.133.2.3";
const MAX_VALUE = 64;
/** Values become selectors, which people compare by eye: printable ASCII, with single spaces inside. */
const PLAIN = /^[!-~]+(?: [!-~]+)*$/;

/**
 * Verifies a certificate against vendor CAs, roots and intermediates alike, at `now` (milliseconds since 1970). The
 * profile is TCG EK Credential Profile 2.x, 3.2 and 3.5, and go-attestation's reading of it.
 */
export function verifyEkCertificate(
  certificate: Certificate,
  authorities: readonly Certificate[],
  now: number,
  namelessRoots: ReadonlySet<string> = NAMELESS_ROOTS,
): EkVerdict {
  const verdict = checkEkProfile(certificate);
  const path = verifiedPath(certificate, authorities, now);
  if (verdict.exceptions.includes("no-tcg-names")) {
    const isExcepted = leadsTo(namelessRoots, path, authorities, now);
    must("ek-certificate-profile", isExcepted, "names no TPM, and its root is not one that may leave the names out");
  }
  return verdict;
}

function verifiedPath(
  certificate: Certificate,
  authorities: readonly Certificate[],
  now: number,
): readonly Certificate[] {
  try {
    return validateChain([certificate.der], authorities, { now, checkLeaf: () => {} }).path;
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    throw refuse("ek-certificate-chain", error.message, error);
  }
}

/** The profile alone, without the chain. */
export function checkEkProfile(certificate: Certificate): EkVerdict {
  const check = (holds: boolean, detail: string): void => must("ek-certificate-profile", holds, detail);
  const extension = (oid: string): { readonly critical: boolean } | undefined =>
    certificate.extensions.find((found) => found.oid === oid);
  // 3.5.1, 3.5.2
  check(certificate.version === 3, "is not version 3");
  check(certificate.serial !== "0", "has no positive serial number");
  // 3.5.4
  check(!isEmptyName(certificate.issuer), "has no issuer");
  // 3.5.9
  check(extension(Oid.basicConstraints)?.critical === true, "has no critical basic constraints");
  check(!certificate.isCa, "is a CA");
  // 3.5.8: a key that decrypts; Intel's ECC keys say keyEncipherment where the profile wants keyAgreement
  const usage = certificate.keyUsage;
  const isEc = parsed("ek-key-type", () => readSpki(certificate.spki)).kind === "ec";
  check(extension(Oid.keyUsage)?.critical === true, "has no critical key usage");
  check(
    usage?.has("keyEncipherment") === true || (usage?.has("keyAgreement") === true && isEc),
    "its key usage is not that of an endorsement key",
  );
  check(!usage?.has("digitalSignature") && !usage?.has("keyCertSign"), "its key usage lets it sign");
  // 3.5.6
  check(
    extension(Oid.authorityKeyIdentifier)?.critical === false,
    "has no authority key identifier, or a critical one",
  );
  return checkNames(certificate, check, extension(Oid.subjectAltName));
}

/** 3.5.7 and 3.5.10: who made the TPM, and what the certificate is for. */
function checkNames(
  certificate: Certificate,
  check: (holds: boolean, detail: string) => void,
  san: { readonly critical: boolean } | undefined,
): EkVerdict {
  const isSubjectEmpty = isEmptyName(certificate.subject);
  const usages = certificate.extKeyUsage;
  check(usages?.includes(EK_CERTIFICATE_USAGE) !== false, "its extended key usage is not that of an endorsement key");
  if (san === undefined && usages === undefined && !isSubjectEmpty) {
    return { model: undefined, exceptions: ["no-tcg-names"] };
  }
  check(san !== undefined, "has no subject alternative name");
  check(san?.critical === true || !isSubjectEmpty, "has no subject, and its alternative name is not critical");
  const directories = certificate.sans.flatMap((name) => (name.type === "directory" ? [name.value] : []));
  check(directories.length === 1, `has ${directories.length} directory names, want one`);
  const attributes = directories.flatMap(({ der }) => relativeNames(der).flat());
  const value = (type: string, what: string): string => {
    const found = attributes.filter((attribute) => attribute.type === type);
    const text = found[0]?.text ?? "";
    check(found.length === 1 && text !== "", `its alternative name does not tell the ${what} once`);
    check(text.length <= MAX_VALUE && PLAIN.test(text), `its ${what} is no short plain text`);
    return text;
  };
  return {
    model: {
      manufacturer: value(TPM_MANUFACTURER, "manufacturer"),
      model: value(TPM_MODEL, "model"),
      version: value(TPM_VERSION, "version"),
    },
    exceptions: [],
  };
}
