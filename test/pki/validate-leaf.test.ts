/**
 * Leaves that are no X509-SVID, though their path is good, with the check that says so; the numbers in brackets are
 * rules of the X509-SVID standard and of SPIFFE-ID.
 */
import { test } from "vitest";
import { Oid } from "../../src/pki/oid.ts";
import { type Case, expectRefusal, leafExtensions, three, validate, withUri } from "./chains.ts";
import { ext, gn, LEAF_ID } from "./make.ts";

const REFUSED: Record<string, readonly [check: string, () => Case]> = {
  // X509-SVID
  "leaf is a CA [X509-10, X509-22]": ["leaf-basic-constraints", () => three({ leaf: withUri(ext.leafUsage, ext.ca) })],
  "leaf has keyCertSign [X509-17, X509-22]": [
    "leaf-key-usage",
    () => three({ leaf: withUri(ext.usage("digitalSignature", "keyCertSign")) }),
  ],
  "leaf has cRLSign [X509-17, X509-22]": [
    "leaf-key-usage",
    () => three({ leaf: withUri(ext.usage("digitalSignature", "cRLSign")) }),
  ],
  "leaf lacks digitalSignature [X509-16]": [
    "leaf-key-usage",
    () => three({ leaf: withUri(ext.usage("keyAgreement")) }),
  ],
  "leaf without key usage [X509-14]": ["leaf-key-usage", () => three({ leaf: withUri(ext.bothEku) })],
  "leaf with serverAuth alone [X509-19]": [
    "leaf-ext-key-usage",
    () => three({ leaf: withUri(ext.leafUsage, ext.eku(Oid.serverAuth)) }),
  ],
  "leaf with clientAuth alone [X509-19]": [
    "leaf-ext-key-usage",
    () => three({ leaf: withUri(ext.leafUsage, ext.eku(Oid.clientAuth)) }),
  ],
  "leaf with any extended key usage alone": [
    "leaf-ext-key-usage",
    () => three({ leaf: withUri(ext.leafUsage, ext.eku("2.5.29.37.0")) }),
  ],
  "no URI [X509-01]": ["leaf-uri-san", () => three({ leaf: { extensions: leafExtensions() } })],
  "a DNS name and no URI": [
    "leaf-uri-san",
    () => three({ leaf: { extensions: leafExtensions(ext.san(gn.dns("a.test"))) } }),
  ],
  "two URIs [X509-02]": [
    "leaf-uri-san",
    () => three({ leaf: { extensions: leafExtensions(ext.uri(LEAF_ID, "spiffe://example.org/other")) } }),
  ],
  "a SPIFFE ID and another URI [X509-02]": [
    "leaf-uri-san",
    () => three({ leaf: { extensions: leafExtensions(ext.uri("https://example.org/", LEAF_ID)) } }),
  ],
  "foreign trust domain [X509-21, BDL-01]": [
    "leaf-trust-domain",
    () => three({ leaf: { extensions: leafExtensions(ext.uri("spiffe://other.test/workload")) } }),
  ],
  "ID without path [X509-23]": [
    "leaf-spiffe-id",
    () => three({ leaf: { extensions: leafExtensions(ext.uri("spiffe://example.org")) } }),
  ],
  "ID with a bare slash [X509-23]": [
    "leaf-spiffe-id",
    () => three({ leaf: { extensions: leafExtensions(ext.uri("spiffe://example.org/")) } }),
  ],
  "ID in upper case [ID-16]": [
    "leaf-spiffe-id",
    () => three({ leaf: { extensions: leafExtensions(ext.uri("SPIFFE://example.org/a")) } }),
  ],
  "ID with a query": [
    "leaf-spiffe-id",
    () => three({ leaf: { extensions: leafExtensions(ext.uri("spiffe://example.org/a?b")) } }),
  ],
  "another scheme [X509-23]": [
    "leaf-spiffe-id",
    () => three({ leaf: { extensions: leafExtensions(ext.uri("https://example.org/a")) } }),
  ],
  "URI with a NUL": [
    "bad IA5String",
    () => three({ leaf: { extensions: leafExtensions(ext.san(gn.uri("spiffe://example.org/a\0b"))) } }),
  ],
};

test.each(Object.entries(REFUSED))("%s", (_name, [check, make]) => {
  expectRefusal(() => validate(make()), check);
});
