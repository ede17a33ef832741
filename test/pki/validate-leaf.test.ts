/** Leaves that are no X509-SVID, though their path is good, with the check that says so. */
import { test } from "vitest";
import { Oid } from "../../src/pki/oid.ts";
import { type Case, expectRefusal, leafExtensions, three, validate, withUri } from "./chains.ts";
import { ext, gn, LEAF_ID } from "./make.ts";

const REFUSED: Record<string, readonly [check: string, () => Case]> = {
  // X509-SVID
  "leaf is a CA": ["leaf-basic-constraints", () => three({ leaf: withUri(ext.leafUsage, ext.ca) })],
  "leaf has keyCertSign": [
    "leaf-key-usage",
    () => three({ leaf: withUri(ext.usage("digitalSignature", "keyCertSign")) }),
  ],
  "leaf has cRLSign": ["leaf-key-usage", () => three({ leaf: withUri(ext.usage("digitalSignature", "cRLSign")) })],
  "leaf lacks digitalSignature": ["leaf-key-usage", () => three({ leaf: withUri(ext.usage("keyAgreement")) })],
  "leaf without key usage": ["leaf-key-usage", () => three({ leaf: withUri(ext.bothEku) })],
  "leaf with serverAuth alone": [
    "leaf-ext-key-usage",
    () => three({ leaf: withUri(ext.leafUsage, ext.eku(Oid.serverAuth)) }),
  ],
  "leaf with clientAuth alone": [
    "leaf-ext-key-usage",
    () => three({ leaf: withUri(ext.leafUsage, ext.eku(Oid.clientAuth)) }),
  ],
  "leaf with any extended key usage alone": [
    "leaf-ext-key-usage",
    () => three({ leaf: withUri(ext.leafUsage, ext.eku("2.5.29.37.0")) }),
  ],
  "no URI": ["leaf-uri-san", () => three({ leaf: { extensions: leafExtensions() } })],
  "a DNS name and no URI": [
    "leaf-uri-san",
    () => three({ leaf: { extensions: leafExtensions(ext.san(gn.dns("a.test"))) } }),
  ],
  "two URIs": [
    "leaf-uri-san",
    () => three({ leaf: { extensions: leafExtensions(ext.uri(LEAF_ID, "spiffe://example.org/other")) } }),
  ],
  "a SPIFFE ID and another URI": [
    "leaf-uri-san",
    () => three({ leaf: { extensions: leafExtensions(ext.uri("https://example.org/", LEAF_ID)) } }),
  ],
  "foreign trust domain": [
    "leaf-trust-domain",
    () => three({ leaf: { extensions: leafExtensions(ext.uri("spiffe://other.test/workload")) } }),
  ],
  "ID without path": [
    "leaf-spiffe-id",
    () => three({ leaf: { extensions: leafExtensions(ext.uri("spiffe://example.org")) } }),
  ],
  "ID with a bare slash": [
    "leaf-spiffe-id",
    () => three({ leaf: { extensions: leafExtensions(ext.uri("spiffe://example.org/")) } }),
  ],
  "ID in upper case": [
    "leaf-spiffe-id",
    () => three({ leaf: { extensions: leafExtensions(ext.uri("SPIFFE://example.org/a")) } }),
  ],
  "ID with a query": [
    "leaf-spiffe-id",
    () => three({ leaf: { extensions: leafExtensions(ext.uri("spiffe://example.org/a?b")) } }),
  ],
  "another scheme": [
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
