/**
 * Finds and validates a path from a leaf to an authority (RFC 5280 section 6), whatever the leaf is for.
 *
 * Chains come from anyone who can connect, so the work is bounded before it begins: sizes first, then everything that
 * costs no cryptography, then signatures, at most 32 of them. A path is extended only by an issuer whose signature
 * over the certificate below was verified, so that loops and cross-signed certificates cannot multiply it.
 */
import type { KeyObject } from "node:crypto";
import { AgentError, errorText } from "../lib/errors.ts";
import { type Certificate, parseCertificate } from "./certificate.ts";
import { sameName } from "./name.ts";
import { verifySignatureSync } from "./signer.ts";
import { about, checkIssuer, checkLeaf, must, quotedName, refuse } from "./validate-checks.ts";
import { checkNameConstraints } from "./validate-names.ts";

/** What `validateChain` needs to know besides the certificates. */
export interface ChainOptions {
  /** Milliseconds since the Unix epoch. */
  readonly now: number;
  /** Rules of the leaf; throws `UNTRUSTED`. Runs before any signature is verified. */
  readonly checkLeaf: (leaf: Certificate) => void;
  /** Critical extensions (object identifiers) of the leaf which the caller handles itself. */
  readonly handledExtensions?: ReadonlySet<string>;
}

/** A trusted chain. */
export interface ValidatedChain {
  readonly leaf: Certificate;
  /** Leaf first, trust anchor last. */
  readonly path: readonly Certificate[];
}

/** Most certificates that a peer may present. */
export const MAX_CHAIN = 16;
/** Most certificates in a path, leaf and trust anchor included. */
const MAX_PATH = 8;
/** Most signatures that are verified for one chain, and most comparisons of a name with a constraint. */
const MAX_SIGNATURES = 32;
const MAX_COMPARISONS = 250_000;

/**
 * Validates a chain, leaf first and intermediates in any order, against authorities that the caller trusts. Any CA
 * certificate can be an authority, self-signed or not, and must itself meet every check. Throws `UNTRUSTED`; of several
 * paths that fail, the message is about the one that got farthest.
 */
export function validateChain(
  chain: readonly Uint8Array[],
  authorities: readonly (Uint8Array | Certificate)[],
  options: ChainOptions,
): ValidatedChain {
  must(
    "limits",
    chain.length <= MAX_CHAIN,
    () => `chain of ${chain.length} certificates, at most ${MAX_CHAIN} are read`,
  );
  const [leaf, ...intermediates] = chain.map(parseMember);
  if (leaf === undefined) throw refuse("parse", "the chain is empty");
  checkLeaf(leaf, options.now, options.handledExtensions ?? new Set());
  options.checkLeaf(leaf);
  const anchors = parseAuthorities(authorities);
  must("authorities", anchors.length > 0, () => "there are no authorities");
  const path = new PathSearch(anchors, intermediates, options.now).from(leaf);
  // of the issuers' keys this was found out when they verified something
  publicKeyOf(leaf);
  return { leaf, path };
}

/**
 * Parses authorities once for many validations, which also keeps their imported keys. One that is malformed is left
 * out: it cannot be an anchor, and must not take the others with it.
 */
export function parseAuthorities(authorities: readonly (Uint8Array | Certificate)[]): readonly Certificate[] {
  return authorities.flatMap((authority) => {
    if (!(authority instanceof Uint8Array)) return [authority];
    try {
      return [parseCertificate(authority)];
    } catch (error) {
      if (error instanceof AgentError) return [];
      throw error;
    }
  });
}

/** A depth-first search with backtracking, from the leaf up. */
class PathSearch {
  readonly #anchors: readonly Certificate[];
  readonly #intermediates: readonly Certificate[];
  readonly #now: number;
  /** What is left; below zero the search ends, whatever else could be tried. */
  readonly #budget = { signatures: MAX_SIGNATURES, comparisons: MAX_COMPARISONS };
  /** The failure of the longest path so far. */
  #failure: { readonly depth: number; readonly error: AgentError } | undefined;

  constructor(anchors: readonly Certificate[], intermediates: readonly Certificate[], now: number) {
    this.#anchors = anchors;
    this.#intermediates = intermediates;
    this.#now = now;
  }

  /** The path from `leaf` to an anchor. Throws `UNTRUSTED`. */
  from(leaf: Certificate): readonly Certificate[] {
    const path = this.#extend([leaf]);
    if (path === undefined) throw this.#failure?.error ?? refuse("issuer", "no path to an authority");
    return path;
  }

  #extend(path: readonly [Certificate, ...Certificate[]]): readonly Certificate[] | undefined {
    const child = path.at(-1) ?? path[0];
    const candidates = this.#issuersOf(child, path);
    if (candidates.length === 0) {
      this.#note(path, refuse("issuer", about(child, `has no issuer ${quotedName(child.issuer)}`)));
    }
    for (const { issuer, isAnchor } of candidates) {
      const longer = [...path, issuer] as const;
      try {
        must("limits", longer.length <= MAX_PATH, () => `path of more than ${MAX_PATH} certificates`);
        checkIssuer(issuer, path, this.#now);
        this.#checkSignature(child, issuer);
        if (isAnchor) {
          checkNameConstraints(longer, this.#budget);
          return longer;
        }
      } catch (error) {
        const isSpent = this.#budget.signatures < 0 || this.#budget.comparisons < 0;
        if (!(error instanceof AgentError) || isSpent) throw error;
        this.#note(longer, error);
        continue;
      }
      const found = this.#extend(longer);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /**
   * 6.1.3 (a)(4): certificates whose subject is the child's issuer; anchors first, then by key identifier, which is a
   * hint and no more (RFC 4158 3.5.12). None whose name and key are in the path already (RFC 4158 2.4.2).
   */
  #issuersOf(
    child: Certificate,
    path: readonly Certificate[],
  ): readonly { readonly issuer: Certificate; readonly isAnchor: boolean }[] {
    const fits = (issuer: Certificate): boolean =>
      sameName(issuer.subject, child.issuer) &&
      !path.some((member) => sameName(member.subject, issuer.subject) && sameBytes(member.spki, issuer.spki));
    const hinted = (issuer: Certificate): number =>
      child.authorityKeyId && issuer.subjectKeyId && sameBytes(child.authorityKeyId, issuer.subjectKeyId) ? 0 : 1;
    const choose = (pool: readonly Certificate[]): Certificate[] =>
      pool.filter(fits).sort((a, b) => hinted(a) - hinted(b));
    return [
      ...choose(this.#anchors).map((issuer) => ({ issuer, isAnchor: true })),
      ...choose(this.#intermediates).map((issuer) => ({ issuer, isAnchor: false })),
    ];
  }

  /** 6.1.3 (a)(1) */
  #checkSignature(child: Certificate, issuer: Certificate): void {
    const { tbs: bytes, signatureAlgorithm: algorithm, signature } = child;
    if (algorithm === undefined) {
      throw refuse("signature-algorithm", about(child, "is signed with an algorithm that is not accepted"));
    }
    must("limits", --this.#budget.signatures >= 0, () => `no path found within ${MAX_SIGNATURES} signatures`);
    const isSigned = verifySignatureSync({ bytes, algorithm, signature }, publicKeyOf(issuer));
    must("signature", isSigned, () =>
      about(child, `is not signed by ${quotedName(issuer.subject)} (serial ${issuer.serial})`),
    );
  }

  #note(path: readonly Certificate[], error: AgentError): void {
    if (path.length > (this.#failure?.depth ?? 0)) this.#failure = { depth: path.length, error };
  }
}

function parseMember(der: Uint8Array, index: number): Certificate {
  try {
    return parseCertificate(der);
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    throw refuse("parse", `certificate ${index} of the chain: ${errorText(error)}`, error);
  }
}

/** The imported key; throws `UNTRUSTED` when it is none, such as a point off its curve. */
function publicKeyOf(certificate: Certificate): KeyObject {
  try {
    return certificate.publicKey;
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    throw refuse("public-key", about(certificate, errorText(error)), error);
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
