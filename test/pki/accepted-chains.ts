/** Chains that must be trusted, by name. */
import { oid, sequence, unsigned } from "../../src/pki/der-writer.ts";
import { encodeName } from "../../src/pki/name.ts";
import { Oid } from "../../src/pki/oid.ts";
import { type Case, caWith, leafExtensions, rsa, rsa2, three, uri, withUri } from "./chains.ts";
import { aki, algorithms, cn, ecKey, ext, gn, LEAF_ID, makeCa, makeLeaf, NOW, type TestCert } from "./make.ts";

export const ACCEPTED: Record<string, () => Case> = {
  "leaf under a root": () => {
    const root = makeCa();
    return [[makeLeaf(root)], [root]];
  },
  "P-256 throughout": () => three({}),
  "P-384 throughout": () =>
    three({ leaf: { key: ecKey("P-384") }, middle: { key: ecKey("P-384") }, root: { key: ecKey("P-384") } }),
  "P-521 throughout": () =>
    three({ leaf: { key: ecKey("P-521") }, middle: { key: ecKey("P-521") }, root: { key: ecKey("P-521") } }),
  "RSA throughout": () => three({ leaf: { key: rsa }, middle: { key: rsa2 }, root: { key: rsa } }),
  "P-256 signing with SHA-512": () =>
    three({ leaf: { algorithm: algorithms.ecdsaSha512 }, middle: { algorithm: algorithms.ecdsaSha384 } }),
  "RSA with SHA-512": () => three({ middle: { key: rsa }, leaf: { algorithm: algorithms.rsaSha512 } }),
  "RSA-PSS SHA-256": () => three({ middle: { key: rsa }, leaf: { algorithm: algorithms.rsaPss256 } }),
  "RSA-PSS SHA-512": () => three({ middle: { key: rsa }, leaf: { algorithm: algorithms.rsaPss512 } }),
  // X509-13
  "URI name constraint kept": () => three({ middleAdd: [ext.nameConstraints([gn.uri("example.org")])] }),
  "URI name constraint of the root kept": () => three({ rootAdd: [ext.nameConstraints([gn.uri("example.org")])] }),
  "rotated root: both in the bundle": () => {
    const name = cn("root");
    const [old, fresh] = [makeCa(undefined, { name }), makeCa(undefined, { name })];
    return [[makeLeaf(fresh)], [old, fresh]];
  },
  "rotated root: new one cross-signed by the old": () => {
    const name = cn("root");
    const old = makeCa(undefined, { name });
    const crossed = makeCa(old, { name });
    return [[makeLeaf(crossed), crossed], [old]];
  },
  "cross-signed pair of roots, the right one last": () => {
    const [a, b] = [makeCa(undefined, { name: cn("a") }), makeCa(undefined, { name: cn("b") })];
    const aByB = makeCa(b, { name: a.name, key: a.key });
    const bByA = makeCa(a, { name: b.name, key: b.key });
    const root = makeCa();
    const aByRoot = makeCa(root, { name: a.name, key: a.key });
    return [[makeLeaf(a), aByB, bByA, aByRoot], [root]];
  },
  "renewed and expired intermediate": () => {
    const root = makeCa();
    const renewed = makeCa(root, { name: cn("middle") });
    const expired = makeCa(root, { name: renewed.name, key: renewed.key, notAfter: NOW - 1000 });
    return [[makeLeaf(renewed), expired, renewed], [root]];
  },
  "renewed and expired root": () => {
    const renewed = makeCa();
    const expired = makeCa(undefined, { name: renewed.name, key: renewed.key, notAfter: NOW - 1000 });
    return [[makeLeaf(renewed)], [expired, renewed]];
  },
  "same-name intermediates without key identifiers": () => {
    const root = makeCa();
    const fields = { name: cn("twin"), extensions: [ext.ca, ext.caUsage] };
    const [wrong, right] = [makeCa(root, fields), makeCa(root, fields)];
    return [[makeLeaf(right, { extensions: leafExtensions(uri) }), wrong, right], [root]];
  },
  "key identifiers that do not match are a hint only": () => {
    const root = makeCa();
    return [[makeLeaf(root, { extensions: [...leafExtensions(uri), aki(ecKey())] })], [root]];
  },
  "intermediate as anchor": () => {
    const root = makeCa();
    const middle = makeCa(root);
    return [[makeLeaf(middle)], [middle]];
  },
  "intermediate as anchor, also presented": () => {
    const root = makeCa();
    const middle = makeCa(root);
    return [[makeLeaf(middle), middle], [middle]];
  },
  "root presented, too": () => {
    const [[leaf, middle], [root]] = three({}) as [TestCert[], TestCert[]];
    return [[leaf!, middle!, root!], [root!]];
  },
  "intermediates in any order": () => {
    const root = makeCa();
    const one = makeCa(root);
    const two = makeCa(one);
    return [[makeLeaf(two), one, two], [root]];
  },
  "unrelated certificate among them": () => {
    const [[leaf, middle], [root]] = three({}) as [TestCert[], TestCert[]];
    return [
      [leaf!, makeCa(), middle!],
      [makeCa(), root!],
    ];
  },
  "malformed authority beside a good one": () => {
    const root = makeCa();
    return [[makeLeaf(root)], [Uint8Array.of(0x30, 0), root]];
  },
  // X509-12
  "path length reached, not exceeded": () => three({ rootAdd: [], root: caWith(1), middle: caWith(0) }),
  "self-issued intermediate does not count for the path length": () => {
    const root = makeCa(undefined, { name: cn("root"), ...caWith(0) });
    const rollover = makeCa(root, { name: root.name });
    return [[makeLeaf(rollover), rollover], [root]];
  },
  "root without key usage": () => three({ root: { extensions: [ext.ca] } }),
  "unknown extension, not critical": () =>
    three({ leafAdd: [ext.unknown(false)], middleAdd: [ext.unknown(false)], rootAdd: [ext.unknown(false)] }),
  "critical certificate policies": () =>
    three({ middleAdd: [ext.raw(Oid.certificatePolicies, true, sequence(sequence(oid("2.23.133.11.1"))))] }),
  // X509-20
  "intermediate with an extended key usage of e-mail protection": () =>
    three({ middleAdd: [ext.eku("1.3.6.1.5.5.7.3.4")] }),
  "leaf without extended key usage": () => three({ leaf: { extensions: [ext.leafUsage, ext.notCa, uri] } }),
  "leaf without basic constraints": () => three({ leaf: { extensions: [ext.leafUsage, ext.bothEku, uri] } }),
  "leaf with only digitalSignature": () => three({ leaf: withUri(ext.usage("digitalSignature")) }),
  // X509-05
  "leaf with empty subject": () => three({ leaf: { name: encodeName({}) } }),
  // X509-03
  "leaf with DNS names and an IP address": () =>
    three({ leaf: { extensions: leafExtensions(ext.san(gn.dns("a.test"), gn.uri(LEAF_ID), gn.ip(10, 0, 0, 1))) } }),
  "valid in its first and last second": () => three({ leaf: { notBefore: NOW, notAfter: NOW } }),
  "serial number of 20 bytes": () => three({ leaf: { serial: unsigned(new Uint8Array(20).fill(0x7f)) } }),
};
