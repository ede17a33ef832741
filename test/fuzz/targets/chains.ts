/**
 * Path validation. Half of the inputs are signed anew after they were changed, as an authority that was misled would;
 * of the others only what was signed once may be believed. OpenSSL judges each link of what is believed.
 */
import { mutateParts, packFields, unpackFields } from "../../../scripts/fuzz/mutate-fields.ts";
import { type FuzzTarget, holds } from "../../../scripts/fuzz/target.ts";
import { mutateDer } from "../../../scripts/fuzz/tree-der.ts";
import { acceptIssuedSvid, authoritiesOf } from "../../../src/agent/issued-svid.ts";
import { parseCertificate } from "../../../src/pki/certificate.ts";
import { validateX509Svid } from "../../../src/pki/validate.ts";
import type { Der } from "../../../src/spiffe/svid.ts";
import { isSpiffeId } from "../seeds/second-jwt.ts";
import { OWN, OWN_BUNDLE, PRIVATE_KEY } from "../seeds/world.ts";
import {
  CERTIFICATES,
  DIRECT_LEAF,
  elementAt,
  INTERMEDIATE,
  LEAF,
  NOW,
  ROOT,
  signAnew,
  TRUST_DOMAIN,
  X509_KEYS,
} from "../seeds/x509.ts";
import { PKI } from "./covers.ts";
import { openssl } from "./openssl.ts";
import { outcome, same } from "./refusal.ts";

/** Basic constraints that say so, in hex: with a path length or without. */
const CA = /0603551d13(?:0101ff)?04(?:05|08|09)30(?:03|06|07)0101ff/;

/** Sign the leaf, the two others; the leaf by the authority itself rather than by the CA below it. */
const SIGN_LEAF = 1;
const SIGN_OTHERS = 2;
const BY_ROOT = 4;
const EMPTY = new Uint8Array();
const AUTHORITIES = authoritiesOf(OWN_BUNDLE);
const ORIGINALS = new Set(CERTIFICATES.map((one) => Buffer.from(tbsOf(one)).toString("hex")));

/** X509-SVIDs with their chains. */
export const chain: FuzzTarget = {
  name: "verify-chain",
  about: "chains of X509-SVIDs, signed: validateX509Svid, validateChain, checkNameConstraints, acceptIssuedSvid",
  covers: PKI,
  maxBytes: 20_000,
  seeds: () =>
    [0, SIGN_LEAF, SIGN_OTHERS, SIGN_LEAF | SIGN_OTHERS].flatMap((flags) => [
      packFields({ flags, parts: [LEAF, INTERMEDIATE, EMPTY] }),
      packFields({ flags: flags | BY_ROOT, parts: [DIRECT_LEAF, INTERMEDIATE, LEAF] }),
    ]),
  favoursSeeds: true,
  mutate: mutateParts(mutateDer, mutateDer, mutateDer),
  run: (input) => {
    const { flags, parts } = unpackFields(input, 3);
    const [sent = EMPTY, below = EMPTY, other = EMPTY] = parts;
    const { root, intermediate } = X509_KEYS;
    const isResigned = (flags & SIGN_LEAF) !== 0;
    const leaf = isResigned ? signAnew(sent, (flags & BY_ROOT) === 0 ? intermediate : root) : sent;
    const others = [below, other]
      .filter((one) => one.length > 0)
      .map((one) => ((flags & SIGN_OTHERS) === 0 ? one : signAnew(one, root)));
    const presented = [leaf, ...others];
    const options = { now: NOW, trustDomain: OWN };
    const result = outcome(() => validateX509Svid(presented, AUTHORITIES.certificates, options), "UNTRUSTED");
    // The key is never the one that was asked for.
    const issued = outcome(
      () =>
        acceptIssuedSvid({
          chain: presented as unknown as readonly Der[],
          privateKey: PRIVATE_KEY,
          authorities: AUTHORITIES,
          now: NOW,
        }),
      "UNTRUSTED",
      "MALFORMED",
    );
    holds(issued.verdict === "refused", "nobody's SVID is ours");
    if (result.verdict === "refused") return "refused";
    const { path, spiffeId } = result.value;
    if (!isResigned) holds(ORIGINALS.has(Buffer.from(tbsOf(leaf)).toString("hex")), "nothing unsigned is believed");
    holds(isSpiffeId(spiffeId) && spiffeId.startsWith(`spiffe://${TRUST_DOMAIN}/`), "the ID is of the trust domain");
    checkPath(path.map(({ der }) => der));
    holds(same(path[0]?.der ?? EMPTY, leaf), "the path begins with the leaf");
    return "accepted";
  },
};

/** Link by link; of what OpenSSL does not read, such as a name of octets, it says nothing. */
function checkPath(path: readonly Uint8Array[]): void {
  holds(same(path.at(-1) ?? EMPTY, ROOT), "the path ends with the authority");
  for (const [height, der] of path.entries()) {
    const { notBefore, notAfter, uriSans } = parseCertificate(der);
    holds(notBefore <= NOW && NOW <= notAfter, "each certificate is valid now");
    holds(CA.test(Buffer.from(der).toString("hex")) === height > 0, "each issuer is a CA, and the leaf is none");
    if (height === 0) holds(uriSans.length === 1, "the leaf has one URI");
    const [known, above] = [openssl(der), openssl(path[height + 1])];
    if (known === undefined || above === undefined) continue;
    holds(known.verify(above.publicKey), "each certificate is signed by the key of the next");
    holds(known.issuer === above.subject, "each certificate names the next");
  }
}

function tbsOf(certificate: Uint8Array): Uint8Array {
  return elementAt(elementAt(certificate, 0)?.content ?? EMPTY, 0)?.der ?? EMPTY;
}
