/** Issuing: every field of the profiles, and what is not signed. */
import { describe, expect, test } from "vitest";
import { systemRandom } from "../../src/lib/random.ts";
import { checkCaProfile } from "../../src/pki/ca-profile.ts";
import { parseCertificate, spiffeIdOf, splitCertificates } from "../../src/pki/certificate.ts";
import {
  type CaSubject,
  type IssuingCa,
  issueCa,
  issueX509Svid,
  randomSerial,
  selfSignCa,
} from "../../src/pki/issue.ts";
import { generateKey, spkiOf, subjectKeyId } from "../../src/pki/keys.ts";
import { signerFor } from "../../src/pki/signer.ts";
import { validateX509Svid } from "../../src/pki/validate.ts";
import { parseSpiffeId, parseTrustDomain } from "../../src/spiffe/id.ts";
import { DAY, ecKey, ext, HOUR, makeCa, NOW } from "./make.ts";

const trustDomain = parseTrustDomain("example.org");
const spiffeId = parseSpiffeId("spiffe://example.org/workload");
const subject: CaSubject = { country: ["US"], organization: ["SPIFFE"], commonName: "" };
const signer = signerFor(await generateKey("ec-p256"));
const leafSpki = spkiOf(await generateKey("ec-p256"));
const serial = Uint8Array.from([0xff, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
const decimal = "338958372025759790396521755767219228175";
const caTerms = { notBefore: NOW - 10_000, notAfter: NOW + DAY, serial };

const caDer = await selfSignCa({ ...caTerms, signer, trustDomain, subject });
const ca: IssuingCa = { certificate: caDer, chain: [], notAfter: NOW + DAY, signer };
const leafTerms = { spiffeId, spki: leafSpki, notBefore: NOW - 10_000, notAfter: NOW + HOUR, serial };
const issue = async (o: Partial<Parameters<typeof issueX509Svid>[1]> = {}) =>
  parseCertificate(await issueX509Svid(ca, { ...leafTerms, ...o }));

describe("self-signed CA", () => {
  const cert = parseCertificate(caDer);
  test("is an SVID for the trust domain itself, with the profile of a CA (ID-17, ID-18, X509-06 to X509-08, X509-11, X509-14, X509-15)", () => {
    expect(cert).toMatchObject({
      version: 3,
      serial: decimal,
      notBefore: NOW - 10_000,
      notAfter: NOW + DAY,
      isCa: true,
      pathLen: undefined,
      uriSans: ["spiffe://example.org"],
      dnsSans: [],
      extKeyUsage: undefined,
      signatureAlgorithm: "ecdsa-sha256",
    });
    expect(cert.subject.text).toBe(`SERIALNUMBER=${decimal},O=SPIFFE,C=US`);
    expect(cert.issuer.der).toEqual(cert.subject.der);
    expect([...(cert.keyUsage ?? [])]).toEqual(["keyCertSign", "cRLSign"]);
    expect(cert.subjectKeyId).toEqual(subjectKeyId(cert.spki));
    expect(cert.authorityKeyId).toEqual(subjectKeyId(cert.spki));
    expect(cert.extensions.filter(({ critical }) => critical).map(({ oid }) => oid)).toEqual([
      "2.5.29.15",
      "2.5.29.19",
    ]);
  });
  test("keeps a serial number and common name of the subject", async () => {
    const own = { ...subject, commonName: "my CA", serialNumber: "7" };
    const named = parseCertificate(await selfSignCa({ ...caTerms, signer, trustDomain, subject: own }));
    expect(named.subject.text).toBe("SERIALNUMBER=7,CN=my CA,O=SPIFFE,C=US");
  });
  test.each(["ec-p384", "rsa-2048"] as const)("with %s", async (type) => {
    const key = signerFor(await generateKey(type));
    const der = await selfSignCa({ ...caTerms, signer: key, trustDomain, subject });
    const leaf = await issueX509Svid({ ...ca, certificate: der, signer: key }, leafTerms);
    expect(validateX509Svid([leaf], [der], { now: NOW, trustDomain }).spiffeId).toBe(spiffeId);
  });
});

describe("leaf", () => {
  test("has the profile of a leaf (X509-01, X509-11, X509-14, X509-16 to X509-19)", async () => {
    const leaf = await issue();
    expect(leaf).toMatchObject({
      version: 3,
      serial: decimal,
      notBefore: NOW - 10_000,
      notAfter: NOW + HOUR,
      isCa: false,
      uriSans: [spiffeId],
      dnsSans: [],
      extKeyUsage: ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"],
      subjectKeyId: subjectKeyId(leafSpki),
      authorityKeyId: subjectKeyId(signer.publicKeySpki),
    });
    expect(leaf.subject.text).toBe("O=SPIRE,C=US");
    expect(leaf.issuer.der).toEqual(parseCertificate(caDer).subject.der);
    expect([...(leaf.keyUsage ?? [])]).toEqual(["digitalSignature", "keyEncipherment", "keyAgreement"]);
    expect(leaf.extensions.filter(({ critical }) => critical).map(({ oid }) => oid)).toEqual([
      "2.5.29.15",
      "2.5.29.19",
    ]);
    expect(spiffeIdOf(leaf)).toBe(spiffeId);
    expect(validateX509Svid([leaf.der], [caDer], { now: NOW, trustDomain }).path).toHaveLength(2);
  });
  test("has its ID and its key in the part that is signed (ID-19)", async () => {
    const { tbs } = await issue();
    expect(Buffer.from(tbs).includes(spiffeId)).toBe(true);
    expect(Buffer.from(tbs).includes(Buffer.from(leafSpki))).toBe(true);
  });
  test("has DNS names, the first as common name (X509-03)", async () => {
    const leaf = await issue({ dnsNames: ["a.test", "*.b.test"] });
    expect(leaf.dnsSans).toEqual(["a.test", "*.b.test"]);
    expect(leaf.subject.text).toBe("CN=a.test,O=SPIRE,C=US");
    expect(
      (await issue({ dnsNames: ["a.test"], subject: { commonName: "b", organization: ["O"] } })).subject.text,
    ).toBe("CN=a.test,O=O");
  });
  test("has no common name that is longer than it may be", async () => {
    const long = `${"a".repeat(61)}.test`;
    const leaf = await issue({ dnsNames: [long] });
    expect(leaf.subject.text).toBe("O=SPIRE,C=US");
    expect(leaf.dnsSans).toEqual([long]);
  });
  test("has critical alternative names if and only if its subject is empty (X509-05)", async () => {
    const san = (cert: Awaited<ReturnType<typeof issue>>) => cert.extensions.find(({ oid }) => oid === "2.5.29.17");
    expect(san(await issue())).toMatchObject({ critical: false });
    expect(san(await issue({ subject: {} }))).toMatchObject({ critical: true });
  });
  test("ends no later than its CA", async () => {
    expect((await issue({ notAfter: NOW + 2 * DAY })).notAfter).toBe(NOW + DAY);
  });
  test("has whole seconds, and GeneralizedTime from 2050 on", async () => {
    const far = Date.UTC(2051, 0, 1);
    const old = { ...caTerms, notAfter: far };
    const certificate = await selfSignCa({ ...old, signer, trustDomain, subject });
    const leaf = parseCertificate(
      await issueX509Svid({ ...ca, certificate, notAfter: far }, { ...leafTerms, notBefore: NOW + 999, notAfter: far }),
    );
    expect(leaf).toMatchObject({ notBefore: NOW, notAfter: far });
  });
});

describe("CA below a CA", () => {
  test("has the profile and signs (X509-09)", async () => {
    const below = signerFor(await generateKey("ec-p256"));
    const own = { ...subject, organizationalUnit: ["DOWNSTREAM-1"] };
    const der = await issueCa(ca, {
      ...caTerms,
      notAfter: NOW + 2 * DAY,
      spki: below.publicKeySpki,
      trustDomain,
      subject: own,
    });
    const cert = parseCertificate(der);
    expect(cert).toMatchObject({ isCa: true, notAfter: NOW + DAY, uriSans: ["spiffe://example.org"] });
    expect(cert.subject.text).toBe(`SERIALNUMBER=${decimal},OU=DOWNSTREAM-1,O=SPIFFE,C=US`);
    expect(cert.authorityKeyId).toEqual(subjectKeyId(signer.publicKeySpki));
    checkCaProfile(cert, { trustDomain, spki: below.publicKeySpki, now: NOW });
    const leaf = await issueX509Svid({ certificate: der, chain: [der], notAfter: NOW + DAY, signer: below }, leafTerms);
    expect(validateX509Svid([leaf, der], [caDer], { now: NOW, trustDomain }).path).toHaveLength(3);
    expect(splitCertificates(Buffer.concat([leaf, der]))).toEqual([Buffer.from(leaf), Buffer.from(der)]);
  });
});

describe("not signed", () => {
  const rejects = async (o: Parameters<typeof issue>[0], code: string) => {
    await expect(issue(o)).rejects.toThrow(expect.objectContaining({ code }));
  };
  test("an ID without path (X509-04)", () =>
    rejects({ spiffeId: parseSpiffeId("spiffe://example.org") }, "INVALID_ARGUMENT"));
  test.each(["", "a b", "a\nb", "ä.test", "a".repeat(254)])("DNS name %j", (name) =>
    rejects({ dnsNames: ["a.test", name] }, "INVALID_ARGUMENT"),
  );
  test("a validity that ends before it begins", () => rejects({ notBefore: NOW, notAfter: NOW }, "INVALID_ARGUMENT"));
  test.each([Number.POSITIVE_INFINITY, Number.NaN, Date.UTC(10000, 0, 1)])("a CA that ends at %d", async (notAfter) => {
    const made = selfSignCa({ ...caTerms, notAfter, signer, trustDomain, subject });
    await expect(made).rejects.toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  });
  test("a validity beyond an expired CA", () =>
    rejects({ notBefore: NOW + 2 * DAY, notAfter: NOW + 3 * DAY }, "INVALID_ARGUMENT"));
  test.each([[[]], [[0, 0]], [Array.from({ length: 20 }, () => 1)]])("serial %j", (bytes) =>
    rejects({ serial: Uint8Array.from(bytes) }, "INVALID_ARGUMENT"),
  );
  test("a key that is no key", () => rejects({ spki: Uint8Array.of(0x30, 0) }, "MALFORMED"));
  test("a key of a kind that is not accepted", () =>
    rejects({ spki: Buffer.from("302a300506032b6570032100".padEnd(88, "0"), "hex") }, "UNTRUSTED"));
  test("with a key that is not the CA's", async () => {
    const other = signerFor(await generateKey("ec-p256"));
    await expect(issueX509Svid({ ...ca, signer: other }, leafTerms)).rejects.toThrow(/not of the signing key/);
  });
});

describe("serial numbers", () => {
  test("are 16 random bytes", () => {
    expect(randomSerial(systemRandom)).toHaveLength(16);
    expect(randomSerial(systemRandom)).not.toEqual(randomSerial(systemRandom));
  });
  test("are never zero", () => {
    const drawn = [new Uint8Array(16), new Uint8Array(16).fill(1)];
    expect(randomSerial({ bytes: () => drawn.shift()!, unit: () => 0 })).toEqual(new Uint8Array(16).fill(1));
  });
});

describe("CA profile of an upstream (X509-06 to X509-08)", () => {
  const key = ecKey();
  const check =
    (extensions: Uint8Array[], o: { notAfter?: number } = {}) =>
    () =>
      checkCaProfile(parseCertificate(makeCa(undefined, { key, extensions, ...o }).der), {
        trustDomain,
        spki: key.spki,
        now: NOW,
      });
  const id = ext.uri("spiffe://example.org");
  test("is met, digitalSignature allowed", () => {
    expect(check([ext.ca, ext.usage("keyCertSign", "cRLSign", "digitalSignature"), id])).not.toThrow();
  });
  test.each([
    ["no CA", check([ext.notCa, ext.caUsage, id])],
    ["lacks keyCertSign", check([ext.ca, ext.usage("cRLSign"), id])],
    ["lacks keyCertSign", check([ext.ca, id])],
    ["key usage besides", check([ext.ca, ext.usage("keyCertSign", "keyAgreement"), id])],
    ["only URI SAN", check([ext.ca, ext.caUsage])],
    ["only URI SAN", check([ext.ca, ext.caUsage, ext.uri("spiffe://other.test")])],
    ["only URI SAN", check([ext.ca, ext.caUsage, ext.uri("spiffe://example.org", "spiffe://example.org")])],
    ["not valid now", check([ext.ca, ext.caUsage, id], { notAfter: NOW - 1000 })],
    ["another key", () => checkCaProfile(parseCertificate(makeCa().der), { trustDomain, spki: key.spki, now: NOW })],
  ])("%s", (message, run) => {
    expect(run).toThrow(message);
  });
});
