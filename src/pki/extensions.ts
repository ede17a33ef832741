/** Reads the certificate extensions that path validation needs (RFC 5280 section 4.2). */
import type { GeneralName } from "./general-names.ts";

/** Bits of the key usage extension (RFC 5280 4.2.1.3). */
export type KeyUsage =
  | "digitalSignature"
  | "nonRepudiation"
  | "keyEncipherment"
  | "dataEncipherment"
  | "keyAgreement"
  | "keyCertSign"
  | "cRLSign"
  | "encipherOnly"
  | "decipherOnly";

/** Subtrees of a name constraints extension (RFC 5280 4.2.1.10). */
export interface NameConstraints {
  readonly permitted: readonly GeneralName[];
  readonly excluded: readonly GeneralName[];
}

/** One extension as it stands in the certificate. */
export interface Extension {
  readonly oid: string;
  readonly critical: boolean;
  /** The DER inside the octet string. */
  readonly value: Uint8Array;
}

/** What the extensions say; absent ones are `undefined` or empty. */
export interface Extensions {
  readonly extensions: readonly Extension[];
  /** Subject alternative names, in order. */
  readonly sans: readonly GeneralName[];
  readonly uriSans: readonly string[];
  readonly dnsSans: readonly string[];
  /** Basic constraints say cA. */
  readonly isCa: boolean;
  /** Basic constraints' path length, if any. */
  readonly pathLen: number | undefined;
  readonly keyUsage: ReadonlySet<KeyUsage> | undefined;
  /** Object identifiers, dotted. */
  readonly extKeyUsage: readonly string[] | undefined;
  readonly subjectKeyId: Uint8Array | undefined;
  readonly authorityKeyId: Uint8Array | undefined;
  readonly nameConstraints: NameConstraints | undefined;
}
