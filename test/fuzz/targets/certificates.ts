/** X.509 certificates, requests and public keys; node:crypto, which is OpenSSL, reads them a second time. */
import { type FuzzTarget, holds } from "../../../scripts/fuzz/target.ts";
import { mutateDer } from "../../../scripts/fuzz/tree-der.ts";
import { type Certificate, parseCertificate, spiffeIdOf, splitCertificates } from "../../../src/pki/certificate.ts";
import { type CertificateRequest, parseCsr } from "../../../src/pki/csr.ts";
import { jwkFromSpki, spkiFromJwk } from "../../../src/pki/jwk.ts";
import { nameOf } from "../../../src/pki/name.ts";
import { encodeSpki, publicKeyFromSpki, readSpki, subjectKeyId } from "../../../src/pki/spki.ts";
import { CERTIFICATES, elementAt, elementsIn, LEAF, REQUESTS, ROOT, SPKIS } from "../seeds/x509.ts";
import { PKI } from "./covers.ts";
import { openssl } from "./openssl.ts";
import { equal } from "./plain.ts";
import { chosen, judged, outcome, same } from "./refusal.ts";

/** One certificate. */
export const certificate: FuzzTarget = {
  name: "certificate",
  about: "X.509 certificates: parseCertificate, spiffeIdOf, splitCertificates",
  covers: PKI,
  maxBytes: 8_192,
  seeds: () => CERTIFICATES,
  mutate: mutateDer,
  run: (input) => {
    const split = outcome(() => splitCertificates(input), "MALFORMED");
    if (split.verdict === "accepted")
      holds(same(Buffer.concat(split.value), input), "certificates side by side are all that is split");
    return judged(
      () => parseCertificate(input),
      (parsed) => {
        holds(split.verdict === "accepted" && split.value.length <= 1, "what is read is one certificate");
        checkCertificate(input, parsed);
      },
    );
  },
};

/** Several, side by side. */
export const certificates: FuzzTarget = {
  name: "certificates",
  about: "X.509 certificates side by side: splitCertificates",
  covers: PKI,
  maxBytes: 20_000,
  seeds: () => [Buffer.concat([LEAF, ROOT]), Buffer.concat(CERTIFICATES.slice(0, 5)), new Uint8Array()],
  mutate: mutateDer,
  run: (input) =>
    judged(
      () => splitCertificates(input),
      (list) => {
        holds(same(Buffer.concat(list), input), "nothing is lost");
        holds(
          list.every((one) => one.length > 0 && elementAt(one, 0)?.der.length === one.length),
          "each is one element",
        );
      },
    ),
};

/** PKCS#10. */
export const request: FuzzTarget = {
  name: "csr",
  about: "certificate requests: parseCsr",
  covers: PKI,
  maxBytes: 8_192,
  seeds: () => REQUESTS,
  mutate: mutateDer,
  run: (input) =>
    judged(
      () => parseCsr(input),
      (parsed) => checkRequest(input, parsed),
    ),
};

/** SubjectPublicKeyInfo. */
export const spki: FuzzTarget = {
  name: "spki",
  about: "SubjectPublicKeyInfo: readSpki, publicKeyFromSpki, jwkFromSpki, spkiFromJwk, subjectKeyId",
  covers: PKI,
  maxBytes: 4_096,
  seeds: () => SPKIS,
  mutate: mutateDer,
  run: (input) => {
    const numbers = outcome(() => readSpki(input), "MALFORMED", "UNTRUSTED");
    const keyId = outcome(() => subjectKeyId(input), "MALFORMED");
    if (numbers.verdict === "refused") return "refused";
    holds(keyId.verdict === "accepted" && keyId.value.length === 20, "a key that is read has an identifier");
    holds(same(encodeSpki(numbers.value), input), "a key is written as it was read");
    const jwk = jwkFromSpki(input);
    // OpenSSL takes its time.
    if (!chosen(input, 8)) return "accepted";
    const key = outcome(() => publicKeyFromSpki(input), "UNTRUSTED");
    const again = outcome(() => spkiFromJwk(jwk), "MALFORMED");
    holds(key.verdict === again.verdict, "a key is good as SubjectPublicKeyInfo and as JWK, or as none of them");
    if (key.verdict === "refused" || again.verdict === "refused") return "refused";
    holds(again.value !== undefined && same(again.value, input), "a JWK is read as the key that it was made of");
    holds(same(key.value.export({ type: "spki", format: "der" }), input), "OpenSSL has the same key");
    holds(equal(JSON.parse(JSON.stringify(key.value.export({ format: "jwk" }))), jwk), "OpenSSL writes the same JWK");
    return "accepted";
  },
};

/** What OpenSSL says of the same bytes, where it takes them too. */
function checkCertificate(input: Uint8Array, parsed: Certificate): void {
  holds(same(parsed.der, input), "it is read to its last byte");
  holds(Number.isSafeInteger(parsed.notBefore) && Number.isSafeInteger(parsed.notAfter), "its times are numbers");
  holds(/^\d{1,49}$/.test(parsed.serial), "its serial number is decimal");
  const id = outcome(() => spiffeIdOf(parsed), "UNTRUSTED");
  if (id.verdict === "accepted") holds(parsed.uriSans.join() === id.value, "its ID is its one URI");
  if (!chosen(input, 8)) return;
  nameOf(parsed.subject);
  holds(!/\p{C}/u.test(parsed.subject.text + parsed.issuer.text), "a name has no control characters as text");
  const known = openssl(input);
  if (known === undefined) return;
  holds(BigInt(`0x${known.serialNumber}`).toString() === parsed.serial, "OpenSSL reads the same serial number");
  const [from = Number.NaN, to = Number.NaN] = [known.validFrom, known.validTo].map((text) =>
    / \d{1,2} GMT$/.test(text) ? Number.NaN : new Date(text).getTime(),
  );
  // What Date cannot read of OpenSSL's text is not compared, nor years of two digits, which it takes for others.
  holds(Number.isNaN(from) || from === parsed.notBefore, "OpenSSL reads the same beginning");
  holds(Number.isNaN(to) || to === parsed.notAfter, "OpenSSL reads the same end");
  holds(parsed.isCa || !known.ca, "what OpenSSL takes for a CA says that it is one");
  // Names that we leave unread may be none: OpenSSL then reads none at all.
  const alternatives = known.subjectAltName;
  if (alternatives !== undefined && !alternatives.includes('"')) {
    const uris = alternatives.split(", ").filter((one) => one.startsWith("URI:"));
    holds(uris.join() === parsed.uriSans.map((one) => `URI:${one}`).join(), "OpenSSL reads the same URIs");
    const hosts = alternatives.split(", ").filter((one) => one.startsWith("DNS:"));
    holds(hosts.join() === parsed.dnsSans.map((one) => `DNS:${one}`).join(), "OpenSSL reads the same DNS names");
  }
}

/** Where a request has what, by a second reader. */
function checkRequest(input: Uint8Array, parsed: CertificateRequest): void {
  const [outer, ...more] = elementsIn(input);
  const [info, algorithm, signature, ...rest] = elementsIn(outer?.content ?? new Uint8Array());
  holds(more.length === 0 && rest.length === 0, "it is read to its last byte");
  holds(info !== undefined && same(info.der, parsed.info), "what is signed is the first element");
  holds(algorithm?.tag === 0x30 && signature?.tag === 0x03, "algorithm and signature follow");
  holds(same(signature.content.subarray(1), parsed.signature), "the signature is the last element");
  const [version, subject, key, attributes] = elementsIn(info.content);
  holds(version !== undefined && same(version.der, Buffer.of(2, 1, 0)), "the version is the only one");
  holds(subject !== undefined && same(subject.der, parsed.subject.der), "the name follows");
  holds(key !== undefined && same(key.der, parsed.spki), "the key follows");
  const names = [...parsed.uriSans, ...parsed.dnsSans];
  holds(
    names.every((one) => Buffer.from(attributes?.content ?? []).includes(one)),
    "names are those of the attributes",
  );
}
