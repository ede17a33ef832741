/** Independent judges: OpenSSL, Node's X509Certificate and @peculiar/x509 read what we make, and we read what they make. */
import { execFileSync } from "node:child_process";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { afterAll, describe, expect, test } from "vitest";
import { systemRandom } from "../../src/lib/random.ts";
import { parseCertificate } from "../../src/pki/certificate.ts";
import { createCsr, parseCsr, verifyCsr } from "../../src/pki/csr.ts";
import { issueCa, issueX509Svid, randomSerial, selfSignCa } from "../../src/pki/issue.ts";
import { generateKey, type KeyType, spkiOf } from "../../src/pki/keys.ts";
import { pemDecode, pemEncode } from "../../src/pki/pem.ts";
import { signerFor } from "../../src/pki/signer.ts";
import { validateX509Svid } from "../../src/pki/validate.ts";
import { parseSpiffeId, parseTrustDomain } from "../../src/spiffe/id.ts";
import { DAY, HOUR, NOW } from "./make.ts";

const folder = mkdtempSync(join(tmpdir(), "holdfast-pki-"));
afterAll(() => rmSync(folder, { recursive: true }));
const file = (name: string): string => join(folder, name);
const openssl = (...args: string[]): string =>
  execFileSync("openssl", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

const trustDomain = parseTrustDomain("example.org");
const spiffeId = parseSpiffeId("spiffe://example.org/workload");
const subject = { country: ["US"], organization: ["SPIFFE"], commonName: "" };
const now = { notBefore: NOW - 10_000, notAfter: NOW + DAY };

describe.each<KeyType>(["ec-p256", "ec-p384", "rsa-2048"])("ours, with %s", async (type) => {
  const [rootKey, middleKey, leafKey] = [await generateKey(type), await generateKey(type), await generateKey(type)];
  const [signer, below] = [signerFor(rootKey), signerFor(middleKey)];
  const terms = () => ({ ...now, serial: randomSerial(systemRandom) });
  const root = await selfSignCa({ ...terms(), signer, trustDomain, subject });
  const ca = { certificate: root, chain: [], notAfter: NOW + DAY, signer };
  const middle = await issueCa(ca, { ...terms(), spki: below.publicKeySpki, trustDomain, subject });
  const leaf = await issueX509Svid(
    { certificate: middle, chain: [middle], notAfter: NOW + DAY, signer: below },
    { ...terms(), spiffeId, spki: spkiOf(leafKey), dnsNames: ["a.test"] },
  );
  const path = (name: string): string => file(`${type}-${name}.pem`);
  for (const [name, der] of Object.entries({ root, middle, leaf })) {
    writeFileSync(path(name), pemEncode("CERTIFICATE", der));
  }

  test("are verified by OpenSSL, strictly", () => {
    for (const purpose of ["sslserver", "sslclient"]) {
      const chain = ["-CAfile", path("root"), "-untrusted", path("middle"), path("leaf")];
      expect(openssl("verify", "-x509_strict", "-partial_chain", "-purpose", purpose, ...chain)).toMatch(/: OK/);
    }
    expect(openssl("verify", "-partial_chain", "-trusted", path("middle"), path("leaf"))).toMatch(/: OK/);
  });

  test("are read by OpenSSL as they are meant", () => {
    const text = openssl(
      "x509",
      "-in",
      path("leaf"),
      "-noout",
      "-text",
      "-ext",
      "basicConstraints,keyUsage,extendedKeyUsage,subjectAltName",
    );
    expect(text).toMatch(/Subject: C ?= ?US, O ?= ?SPIRE, CN ?= ?a.test/);
    expect(text).toMatch(/X509v3 Key Usage: critical\s+Digital Signature, Key Encipherment, Key Agreement/);
    expect(text).toMatch(/X509v3 Extended Key Usage: \s+TLS Web Server Authentication, TLS Web Client Authentication/);
    expect(text).toMatch(/X509v3 Basic Constraints: critical\s+CA:FALSE/);
    expect(text).toMatch(/DNS:a.test, URI:spiffe:\/\/example.org\/workload/);
    // what OpenSSL writes of the same fields is byte for byte ours
    expect(openssl("x509", "-in", path("leaf"), "-outform", "PEM")).toBe(readFileSync(path("leaf"), "utf8"));
  });

  test("are verified and read by Node", () => {
    const [leafCert, middleCert, rootCert] = [leaf, middle, root].map((der) => new X509Certificate(der));
    expect(leafCert!.verify(middleCert!.publicKey)).toBe(true);
    expect(leafCert!.checkIssued(middleCert!)).toBe(true);
    expect(middleCert!.checkIssued(rootCert!)).toBe(true);
    expect(rootCert!.checkIssued(rootCert!)).toBe(true);
    expect(leafCert!.ca).toBe(false);
    expect(rootCert!.ca).toBe(true);
    expect(leafCert!.subjectAltName).toBe(`DNS:a.test, URI:${spiffeId}`);
    expect(leafCert!.validToDate.getTime()).toBe(now.notAfter);
    expect(leafCert!.checkPrivateKey(leafKey)).toBe(true);
    expect(BigInt(`0x${leafCert!.serialNumber}`).toString()).toBe(parseCertificate(leaf).serial);
  });

  test("are verified and read by @peculiar/x509", async () => {
    const cert = new x509.X509Certificate(Buffer.from(leaf));
    expect(await cert.verify({ publicKey: new x509.X509Certificate(Buffer.from(middle)) })).toBe(true);
    expect(cert.getExtension(x509.SubjectAlternativeNameExtension)!.names.toJSON()).toEqual([
      { type: "dns", value: "a.test" },
      { type: "url", value: spiffeId },
    ]);
    expect(cert.subject).toBe("C=US, O=SPIRE, CN=a.test");
  });

  test("requests are verified by OpenSSL and @peculiar/x509", async () => {
    const csr = await createCsr({ privateKey: leafKey, spiffeId, dnsNames: ["a.test"] });
    writeFileSync(path("csr"), pemEncode("CERTIFICATE REQUEST", csr));
    expect(openssl("req", "-in", path("csr"), "-noout", "-verify", "-text")).toMatch(
      /URI:spiffe:\/\/example.org\/workload/,
    );
    expect(await new x509.Pkcs10CertificateRequest(Buffer.from(csr)).verify()).toBe(true);
  });
});

describe("OpenSSL's", () => {
  const leafExtensions = [
    "keyUsage=critical,digitalSignature,keyAgreement",
    "extendedKeyUsage=serverAuth,clientAuth",
    "basicConstraints=critical,CA:FALSE",
    `subjectAltName=critical,URI:${spiffeId},DNS:a.test,IP:10.0.0.1,email:a@b.test,dirName:dir`,
  ];
  const config = file("openssl.cnf");
  writeFileSync(config, "[req]\ndistinguished_name=dn\n[dn]\n[dir]\nO=Acme\n");

  function make(name: string, newKey: string[], args: string[]): Uint8Array {
    openssl(
      "req",
      "-config",
      config,
      "-x509",
      "-days",
      "1",
      "-nodes",
      ...newKey,
      "-keyout",
      file(`${name}.key`),
      "-out",
      file(`${name}.pem`),
      ...args,
    );
    return pemDecode(readFileSync(file(`${name}.pem`), "utf8"), "CERTIFICATE")[0]!;
  }

  test.each([
    ["P-256", ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]],
    ["P-521", ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521"]],
    ["RSA", ["-newkey", "rsa:2048"]],
    [
      "RSA-PSS",
      ["-newkey", "rsa:2048", "-sha384", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"],
    ],
  ])("certificates with %s are read and validated", (name, newKey) => {
    const ca = [
      "-addext",
      "basicConstraints=critical,CA:TRUE,pathlen:0",
      "-addext",
      "keyUsage=critical,keyCertSign,cRLSign",
    ];
    const root = make(`${name}-ca`, newKey, [
      "-subj",
      '/C=US/O=Acme+OU=Sub/CN=Root, "x"',
      ...ca,
      "-addext",
      "nameConstraints=critical,permitted;URI:example.org",
    ]);
    const issuer = ["-CA", file(`${name}-ca.pem`), "-CAkey", file(`${name}-ca.key`)];
    const leaf = make(`${name}-leaf`, newKey, [
      "-subj",
      "/O=Leaf",
      ...issuer,
      ...leafExtensions.flatMap((e) => ["-addext", e]),
    ]);
    const now = Date.now();
    const valid = validateX509Svid([leaf], [root], { now, trustDomain });
    expect(valid.leaf.sans.map(({ type }) => type)).toEqual(["uri", "dns", "ip", "email", "directory"]);
    expect(valid.path[1]).toMatchObject({ isCa: true, pathLen: 0 });
    expect(valid.path[1]!.subject.text).toBe('CN=Root\\, \\"x\\",OU=Sub+O=Acme,C=US');
    const node = new X509Certificate(leaf);
    expect(valid.leaf.notAfter).toBe(node.validToDate.getTime());
    expect(BigInt(`0x${node.serialNumber}`).toString()).toBe(valid.leaf.serial);
  });

  test("requests are read and verified, a challenge password included", async () => {
    writeFileSync(
      file("csr.cnf"),
      "[req]\nprompt=no\ndistinguished_name=dn\nattributes=at\n[dn]\nO=Acme\n[at]\nchallengePassword=secret\n",
    );
    openssl(
      "req",
      "-config",
      file("csr.cnf"),
      "-new",
      "-newkey",
      "rsa:2048",
      "-nodes",
      "-keyout",
      file("csr.key"),
      "-out",
      file("csr.pem"),
      "-addext",
      `subjectAltName=URI:${spiffeId}`,
    );
    const csr = parseCsr(pemDecode(readFileSync(file("csr.pem"), "utf8"), "CERTIFICATE REQUEST")[0]!);
    await verifyCsr(csr);
    expect(csr.uriSans).toEqual([spiffeId]);
    expect(csr.subject.text).toBe("O=Acme");
    expect(csr.spki).toEqual(spkiOf(createPrivateKey(readFileSync(file("csr.key")))));
  });
});

describe("@peculiar/x509's", () => {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const generate = () => crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  test("chains and requests are read and validated", async () => {
    const [rootKeys, leafKeys] = [await generate(), await generate()];
    const validity = { notBefore: new Date(NOW - HOUR), notAfter: new Date(Date.UTC(2050, 0, 1)) };
    const root = await x509.X509CertificateGenerator.createSelfSigned({
      ...validity,
      name: "CN=Root, O=Acme",
      keys: rootKeys,
      signingAlgorithm: algorithm,
      extensions: [
        new x509.BasicConstraintsExtension(true, 1, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
        await x509.SubjectKeyIdentifierExtension.create(rootKeys.publicKey),
      ],
    });
    const leaf = await x509.X509CertificateGenerator.create({
      ...validity,
      subject: "CN=Leaf",
      issuer: root.subject,
      publicKey: leafKeys.publicKey,
      signingKey: rootKeys.privateKey,
      signingAlgorithm: algorithm,
      extensions: [
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.SubjectAlternativeNameExtension([{ type: "url", value: spiffeId }]),
        await x509.AuthorityKeyIdentifierExtension.create(rootKeys.publicKey),
      ],
    });
    const [leafDer, rootDer] = [leaf, root].map((cert) => new Uint8Array(cert.rawData));
    const valid = validateX509Svid([leafDer!], [rootDer!], { now: NOW, trustDomain });
    expect(valid.leaf).toMatchObject({ notAfter: Date.UTC(2050, 0, 1), authorityKeyId: valid.path[1]!.subjectKeyId });

    const csr = await x509.Pkcs10CertificateRequestGenerator.create({
      name: "CN=x",
      keys: leafKeys,
      signingAlgorithm: algorithm,
      extensions: [new x509.SubjectAlternativeNameExtension([{ type: "url", value: spiffeId }])],
    });
    const parsed = parseCsr(new Uint8Array(csr.rawData));
    await verifyCsr(parsed);
    expect(parsed.uriSans).toEqual([spiffeId]);
  });
});
