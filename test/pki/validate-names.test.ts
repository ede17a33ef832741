/** Name constraints: each row is a name under a constraint, and whether it may be there. */
import { describe, expect, test } from "vitest";
import { parseCertificate } from "../../src/pki/certificate.ts";
import { oid, sequence, setOf, tlv } from "../../src/pki/der-writer.ts";
import { encodeName } from "../../src/pki/name.ts";
import { validateChain } from "../../src/pki/validate-chain.ts";
import { type Case, der, expectRefusal, three, validate } from "./chains.ts";
import { cn, ext, gn, makeCa, makeLeaf, NOW } from "./make.ts";

const zeros = (length: number): number[] => Array.from({ length }, () => 0);
const v6 = (first: number, last = 1): number[] => [first, 1, ...zeros(13), last];
const mask = (length: number, bytes: number): number[] => Array.from({ length }, (_, i) => (i < bytes ? 0xff : 0));
const acme = encodeName({ country: ["US"], organization: ["Acme"] });
const acmeLeaf = encodeName({ country: ["US"], organization: ["Acme"], commonName: "x" });
/** The same organization in other letters and a UTF8String. */
const acmeShouting = sequence(
  setOf(sequence(oid("2.5.4.6"), tlv(0x13, Buffer.from("us")))),
  setOf(sequence(oid("2.5.4.10"), tlv(0x0c, Buffer.from(" ACME ")))),
);
const bmpName = sequence(setOf(sequence(oid("2.5.4.10"), tlv(0x1e, Uint8Array.of(0, 0x41)))));

/** A general name in the leaf, a constraint, and the verdict on `permitted` and on `excluded`. */
const ROWS: readonly (readonly [string, Uint8Array, Uint8Array, permitted: boolean, excluded: boolean])[] = [
  // URI: RFC 5280's narrow reading permits, Go's wide one excludes
  ["URI, the host", gn.uri("spiffe://a.test/x"), gn.uri("a.test"), true, false],
  ["URI, another host", gn.uri("spiffe://b.test/x"), gn.uri("a.test"), false, true],
  ["URI, a host below without leading dot", gn.uri("spiffe://sub.a.test/x"), gn.uri("a.test"), false, false],
  ["URI, a host below with leading dot", gn.uri("spiffe://sub.a.test/x"), gn.uri(".a.test"), true, false],
  ["URI, two labels below", gn.uri("spiffe://c.sub.a.test/x"), gn.uri(".a.test"), true, false],
  ["URI, the host itself with leading dot", gn.uri("spiffe://a.test/x"), gn.uri(".a.test"), false, false],
  ["URI, a host that only ends alike", gn.uri("spiffe://nota.test/x"), gn.uri("a.test"), false, true],
  ["URI, in other letters", gn.uri("https://A.Test/x"), gn.uri("a.tesT"), true, false],
  ["URI, with a port", gn.uri("https://a.test:8443/x"), gn.uri("a.test"), true, false],
  ["URI, without path", gn.uri("spiffe://a.test"), gn.uri("a.test"), true, false],
  ["URI, with user information", gn.uri("https://a.test@b.test/"), gn.uri("a.test"), false, false],
  ["URI, without authority", gn.uri("urn:a.test"), gn.uri("a.test"), false, false],
  // RFC 5280 wants it refused, ID-08 wants no special treatment: see docs/spiffe-conformance.md
  ["URI, an IPv4 address", gn.uri("spiffe://10.0.0.1/x"), gn.uri("10.0.0.1"), false, false],
  ["URI, an IPv6 address", gn.uri("https://[::1]/"), gn.uri("a.test"), false, false],
  ["URI, a trailing dot", gn.uri("spiffe://a.test./x"), gn.uri("a.test"), false, false],
  ["URI, an escape", gn.uri("https://a%2etest/x"), gn.uri("a.test"), false, false],
  ["URI, a constraint that is a URI", gn.uri("spiffe://a.test/x"), gn.uri("spiffe://a.test"), false, false],
  ["URI, an empty constraint", gn.uri("spiffe://a.test/x"), gn.uri(""), false, false],
  // DNS
  ["DNS, the name", gn.dns("a.test"), gn.dns("a.test"), true, false],
  ["DNS, a name below", gn.dns("x.y.a.test"), gn.dns("a.test"), true, false],
  ["DNS, another name", gn.dns("b.test"), gn.dns("a.test"), false, true],
  ["DNS, a name that only ends alike", gn.dns("nota.test"), gn.dns("a.test"), false, true],
  ["DNS, in other letters", gn.dns("X.A.test"), gn.dns("a.TEST"), true, false],
  ["DNS, a leading dot and the name", gn.dns("a.test"), gn.dns(".a.test"), false, false],
  ["DNS, a leading dot and a name below", gn.dns("x.a.test"), gn.dns(".a.test"), true, false],
  ["DNS, a wildcard below", gn.dns("*.a.test"), gn.dns("a.test"), true, false],
  ["DNS, a wildcard over the constraint", gn.dns("*.a.test"), gn.dns("x.a.test"), false, false],
  ["DNS, everything", gn.dns("a.test"), gn.dns(""), true, false],
  ["DNS, a trailing dot", gn.dns("a.test."), gn.dns("a.test"), false, false],
  ["DNS, a constraint that is none", gn.dns("a.test"), gn.dns("*.test"), false, false],
  ["DNS, an empty name", gn.dns(""), gn.dns("a.test"), false, false],
  // IP
  ["IPv4 in the net", gn.ip(10, 1, 2, 3), gn.ip(10, 0, 0, 0, 255, 0, 0, 0), true, false],
  ["IPv4 outside the net", gn.ip(11, 1, 2, 3), gn.ip(10, 0, 0, 0, 255, 0, 0, 0), false, true],
  ["IPv6 in the net", gn.ip(...v6(0x20)), gn.ip(...v6(0x20, 9), ...mask(16, 2)), true, false],
  ["IPv6 outside the net", gn.ip(...v6(0x21)), gn.ip(...v6(0x20), ...mask(16, 2)), false, true],
  ["IPv6 under an IPv4 net", gn.ip(...v6(0x20)), gn.ip(0, 0, 0, 0, 0, 0, 0, 0), false, true],
  ["IPv4 mapped into IPv6", gn.ip(...zeros(10), 255, 255, 10, 1, 2, 3), gn.ip(10, 0, 0, 0, 255, 0, 0, 0), false, false],
  // directory names
  ["directory, the name", gn.directory(acme), gn.directory(acme), true, false],
  ["directory, a name below", gn.directory(acmeLeaf), gn.directory(acme), true, false],
  ["directory, a name above", gn.directory(acme), gn.directory(acmeLeaf), false, true],
  ["directory, other letters and string type", gn.directory(acmeShouting), gn.directory(acme), true, false],
  ["directory, another name", gn.directory(cn("y")), gn.directory(acme), false, true],
  ["directory, a string type that is not read", gn.directory(bmpName), gn.directory(acme), false, false],
  // kinds that are not supported are refused where they occur
  ["e-mail", gn.email("a@a.test"), gn.email("a.test"), false, false],
  ["registered ID", gn.registeredId("1.2.3"), gn.registeredId("1.2.3"), false, false],
  // other kinds are not concerned
  ["DNS name under a URI constraint", gn.dns("b.test"), gn.uri("a.test"), true, true],
  ["e-mail under a DNS constraint", gn.email("a@b.test"), gn.dns("a.test"), true, true],
];

describe.each(ROWS)("%s", (_name, san, constraint, isPermitted, isNotExcluded) => {
  // an empty subject, so that only the alternative name counts
  const chain = (nameConstraints: Uint8Array): Case => {
    const root = makeCa(undefined, { extensions: [ext.ca, ext.caUsage, nameConstraints] });
    return [[makeLeaf(root, { name: encodeName({}), extensions: [ext.leafUsage, ext.san(san)] })], [root]];
  };
  const run = ([certs, authorities]: Case) =>
    validateChain(der(certs), der(authorities), { now: NOW, checkLeaf: () => {} });
  test("permitted", () => {
    const made = chain(ext.nameConstraints([constraint]));
    if (isPermitted) expect(run(made).path).toHaveLength(2);
    else expectRefusal(() => run(made), "name-constraints");
  });
  test("excluded", () => {
    const made = chain(ext.nameConstraints([], [constraint]));
    if (isNotExcluded) expect(run(made).path).toHaveLength(2);
    else expectRefusal(() => run(made), "name-constraints");
  });
});

const own = gn.uri("example.org");
const other = gn.uri("other.test");

const REFUSED: Record<string, () => Case> = {
  "URI constraint of an intermediate": () => three({ middleAdd: [ext.nameConstraints([other])] }),
  "URI constraint of the root": () => three({ rootAdd: [ext.nameConstraints([other])] }),
  "excluded by the root": () => three({ rootAdd: [ext.nameConstraints([], [own])] }),
  "permitted and excluded": () => three({ rootAdd: [ext.nameConstraints([own], [own])] }),
  "permitted by the root, not by the intermediate": () =>
    three({ rootAdd: [ext.nameConstraints([own])], middleAdd: [ext.nameConstraints([other])] }),
  "permitted by the intermediate, not by the root": () =>
    three({ rootAdd: [ext.nameConstraints([other])], middleAdd: [ext.nameConstraints([own])] }),
  "DNS name of the leaf": () =>
    three({
      leaf: { extensions: [ext.leafUsage, ext.san(gn.dns("b.test"), gn.uri("spiffe://example.org/workload"))] },
      middleAdd: [ext.nameConstraints([gn.dns("a.test")])],
    }),
  "subject of the leaf": () => three({ middleAdd: [ext.nameConstraints([gn.directory(acme)])] }),
  "subject of an intermediate": () =>
    three({
      middle: { name: cn("m") },
      leaf: { name: acmeLeaf },
      rootAdd: [ext.nameConstraints([gn.directory(acme)])],
    }),
  "URI of an intermediate": () =>
    three({
      rootAdd: [ext.nameConstraints([own])],
      middle: { extensions: [ext.ca, ext.caUsage, ext.uri("spiffe://other.test")] },
    }),
  "e-mail address in the subject": () =>
    three({
      leaf: { name: sequence(setOf(sequence(oid("1.2.840.113549.1.9.1"), tlv(0x16, Buffer.from("a@b"))))) },
      rootAdd: [ext.nameConstraints([gn.email("b")])],
    }),
};

describe("along a path", () => {
  test.each(Object.entries(REFUSED))("refused: %s", (_name, make) => {
    expectRefusal(() => validate(make()), "name-constraints");
  });

  test("a self-issued intermediate is exempt, what is below it is not", () => {
    const name = cn("self");
    const root = makeCa(undefined, { name }, [ext.nameConstraints([gn.directory(acme)])]);
    const rollover = makeCa(root, { name });
    expect(validate([[makeLeaf(rollover, { name: acmeLeaf }), rollover], [root]]).path).toHaveLength(3);
    expectRefusal(() => validate([[makeLeaf(rollover), rollover], [root]]), "name-constraints");
  });

  test("another path is tried when the first breaks a constraint", () => {
    const root = makeCa();
    const bad = makeCa(root, { name: cn("m") }, [ext.nameConstraints([other])]);
    const good = makeCa(root, { name: bad.name, key: bad.key });
    expect(validate([[makeLeaf(good), bad, good], [root]]).path[1]!.der).toEqual(good.der);
  });
});

describe("malformed constraints", () => {
  const parse =
    (...contents: Uint8Array[]) =>
    () =>
      parseCertificate(makeCa(undefined, {}, [ext.raw("2.5.29.30", true, sequence(...contents))]).der);
  test.each([
    ["empty", parse()],
    ["empty subtrees", parse(tlv(0xa0))],
    ["minimum", parse(tlv(0xa0, sequence(gn.dns("a"), tlv(0x80, Uint8Array.of(1)))))],
    ["maximum", parse(tlv(0xa0, sequence(gn.dns("a"), tlv(0x81, Uint8Array.of(1)))))],
    ["an address without mask", parse(tlv(0xa0, sequence(gn.ip(10, 0, 0, 0))))],
    ["excluded before permitted", parse(tlv(0xa1, sequence(gn.dns("a"))), tlv(0xa0, sequence(gn.dns("a"))))],
  ])("%s", (_name, run) => {
    expect(run).toThrow(/nameConstraints/);
  });
});
