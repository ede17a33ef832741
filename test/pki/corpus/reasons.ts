/** Why OpenSSL's or Go's verdict may be another than ours. `docs/decisions/x509-validation.md` has a paragraph for each. */
import type { CorpusChain } from "./generate.ts";

/** `strict` is OpenSSL with `-x509_strict`. */
export type Oracle = "openssl" | "strict" | "go";

/** A difference that is known: one of theirs is laxer, or stricter. */
export interface Reason {
  readonly name: string;
  readonly oracles: readonly Oracle[];
}

/** They accept in spite of these faults. */
interface Laxer extends Reason {
  readonly faults: readonly string[];
  /** Chains with one of these have another path for them, or need none, so that no other fault counts. */
  readonly covers?: readonly string[];
}

/** They refuse chains that have one of these labels, with that error. */
interface Stricter extends Reason {
  readonly labels: RegExp;
  readonly error: RegExp;
}

const OPENSSL = ["openssl", "strict"] as const;
const ALL = ["openssl", "strict", "go"] as const;

export const LAXER: readonly Laxer[] = [
  {
    name: "OpenSSL reads more than DER",
    oracles: OPENSSL,
    faults: [
      "BER boolean",
      "trailing byte",
      "ECDSA with a NULL parameter",
      "RSA without the NULL parameter",
      "negative serial number",
      "serial number of 21 bytes",
      "unknown extension twice",
    ],
  },
  {
    name: "OpenSSL leaves extensions be that the version or cA rules out",
    oracles: ["openssl"],
    faults: ["path length without cA", "version 1 with extensions", "version 2 with extensions"],
  },
  {
    name: "Go reads certificates that RFC 5280 forbids",
    oracles: ["go"],
    faults: [
      "ECDSA with a NULL parameter",
      "RSA without the NULL parameter",
      "serial number of 21 bytes",
      "empty key usage",
      "path length without cA",
      "version 1 with extensions",
      "version 2 with extensions",
    ],
  },
  {
    name: "more kinds of keys",
    oracles: ALL,
    faults: [
      "key: Ed25519",
      "key: curve P-224",
      "key: RSA of 1024 bits",
      "leaf's key: RSA exponent 1",
      "leaf's key: RSA exponent even",
      "leaf's key: RSA exponent huge",
      "leaf's key: RSA of 8200 bits",
    ],
  },
  {
    name: "OpenSSL knows more curves and points",
    oracles: OPENSSL,
    faults: ["key: curve secp256k1", "leaf's key: compressed point"],
  },
  {
    name: "OpenSSL verifies more signature algorithms",
    oracles: OPENSSL,
    faults: ["ECDSA with SHA-1", "RSA with SHA-1", "RSA-PSS with a short salt"],
  },
  {
    name: "policies",
    oracles: ALL,
    faults: [
      "critical policy constraints",
      "critical inhibition of any policy",
      "critical policy mappings",
      "critical demand for a policy",
      "demand for a policy",
    ],
  },
  { name: "OpenSSL compares names without case", oracles: OPENSSL, faults: ["issuer in other letters"] },
  {
    name: "a leaf that is trusted itself",
    oracles: ALL,
    faults: ["leaf as its own authority"],
    covers: ["leaf as its own authority"],
  },
  { name: "longer paths", oracles: ALL, faults: ["path of nine certificates"] },
  {
    name: "OpenSSL asks less of an authority",
    oracles: ["openssl"],
    faults: ["no basic constraints", "version 1"],
    covers: ["version 1", "decoy: version 1", "decoy: no basic constraints"],
  },
  {
    name: "Go asks less of an authority",
    oracles: ["go"],
    faults: ["version 1"],
    covers: ["version 1", "decoy: version 1"],
  },
  {
    name: "OpenSSL excludes by the narrow reading",
    oracles: OPENSSL,
    faults: [
      "names: URI excluded for the host above",
      "names: URI excluded below a leading dot",
      "names: URI excluded by nothing",
      "names: DNS wildcard over what is excluded",
      "names: DNS, the host of an excluded leading dot",
    ],
  },
  {
    name: "Go excludes by the narrow reading",
    oracles: ["go"],
    faults: ["names: URI excluded below a leading dot", "names: DNS, the host of an excluded leading dot"],
  },
  {
    name: "Go permits by the wide reading",
    oracles: ["go"],
    faults: ["names: URI permitted for the host above", "names: URI permitted by nothing"],
  },
  {
    name: "names that we do not judge",
    oracles: ALL,
    faults: ["names: IPv4 in IPv6, excluded as IPv4", "names: e-mail constrained"],
  },
  {
    name: "name constraints in a leaf",
    oracles: ALL,
    faults: ["names: constraints in the leaf"],
  },
  {
    name: "Go ignores directory constraints that are not critical",
    oracles: ["go"],
    faults: ["names: broken directory constraint that is not critical"],
  },
];

export const STRICTER: readonly Stricter[] = [
  {
    name: "OpenSSL excludes the last second",
    oracles: OPENSSL,
    labels: /^valid until this second$/,
    error: /certificate has expired/,
  },
  {
    name: "OpenSSL lets key identifiers decide",
    oracles: OPENSSL,
    labels: /^wrong authority key identifier$/,
    error: /unable to get|self-signed/,
  },
  {
    name: "OpenSSL builds one path",
    oracles: OPENSSL,
    labels: /^decoy: |self-issued CA/,
    error:
      /invalid CA certificate|unhandled critical|signature failure|unable to get|self-signed|has expired|not yet valid/,
  },
  {
    name: "OpenSSL takes a common name for a host",
    oracles: OPENSSL,
    labels: /^names: a common name that looks like a host$/,
    error: /permitted subtree violation/,
  },
  {
    name: "OpenSSL's strict mode asks what issuers must do",
    oracles: ["strict"],
    labels: /./,
    error:
      /Missing (Authority|Subject) Key Identifier|does not include key usage|not marked critical|name empty|Subject empty|keyCertSign invalid for non-CA|Path length given without|^79 at 0 depth/,
  },
  {
    name: "Go does not read directory constraints",
    oracles: ["go"],
    labels: /^names: .*director|^names: four kinds|^names: every CA/,
    error: /unhandled critical extension/,
  },
  {
    name: "Go counts self-issued CAs",
    oracles: ["go"],
    labels: /^self-issued CA under a path length/,
    error: /too many intermediates/,
  },
  {
    name: "Go constrains self-issued CAs",
    oracles: ["go"],
    labels: /^names: a self-issued CA/,
    error: /not authorized to sign for this name/,
  },
];

/** The reasons that an oracle accepts what we refuse; empty when one of the faults has none. */
export function laxerReasons(oracle: Oracle, { labels, faults }: CorpusChain): readonly Reason[] {
  const known = LAXER.filter(({ oracles }) => oracles.includes(oracle));
  const covering = known.filter(({ covers = [] }) => covers.some((label) => labels.has(label)));
  if (covering.length > 0) return covering;
  const found = faults
    .filter(({ isLeafRule }) => !isLeafRule)
    .map(({ name }) => known.find((reason) => reason.faults.includes(name)));
  return found.every((reason) => reason !== undefined) ? found : [];
}

/** The reasons that an oracle refuses what we accept. Go tells of the last path it tried, so that decoys hide its error. */
export function stricterReasons(oracle: Oracle, { labels }: CorpusChain, error: string): readonly Reason[] {
  const hasDecoy = oracle === "go" && [...labels].some((label) => label.startsWith("decoy: "));
  return STRICTER.filter(
    (reason) =>
      reason.oracles.includes(oracle) &&
      [...labels].some((label) => reason.labels.test(label)) &&
      (hasDecoy || reason.error.test(error)),
  ).slice(0, 1);
}
