/** Certificate requests: ours, foreign ones, and those that must be refused. */

import { generateKeyPairSync } from "node:crypto";
import { describe, expect, test } from "vitest";
import { createCsr, parseCsr, verifyCsr } from "../../src/pki/csr.ts";
import { NULL, oid, sequence, setOf, small, tlv } from "../../src/pki/der-writer.ts";
import { generateKey, spkiOf } from "../../src/pki/keys.ts";
import { parseSpiffeId } from "../../src/spiffe/id.ts";
import { algorithms, ecKey, ext, extensionRequest, gn, makeCsr, rsaKey, testKey } from "./make.ts";

const id = "spiffe://example.org/workload";
const key = ecKey();

test.each(["ec-p256", "ec-p384", "rsa-2048"] as const)("made with %s, read and verified", async (type) => {
  const privateKey = await generateKey(type);
  const csr = parseCsr(await createCsr({ privateKey, spiffeId: parseSpiffeId(id), dnsNames: ["a.test"] }));
  await verifyCsr(csr);
  expect(csr).toMatchObject({ uriSans: [id], dnsSans: ["a.test"] });
  expect(csr.spki).toEqual(spkiOf(privateKey));
  expect(spkiOf(csr.publicKey)).toEqual(spkiOf(privateKey));
  expect(csr.subject.text).toBe("O=SPIRE,C=US");
});

test("made with a subject of its own and without names", async () => {
  const csr = parseCsr(await createCsr({ privateKey: key.privateKey, subject: { commonName: "x" } }));
  await verifyCsr(csr);
  expect(csr).toMatchObject({ uriSans: [], dnsSans: [] });
  expect(csr.subject.text).toBe("CN=x");
});

describe("read", () => {
  test("two URIs, both told to the caller", () => {
    const csr = parseCsr(makeCsr(key, [extensionRequest(ext.uri(id, "spiffe://example.org/other"))]));
    expect(csr.uriSans).toEqual([id, "spiffe://example.org/other"]);
  });
  test("unknown attributes and extensions, which nobody uses", async () => {
    const password = sequence(oid("1.2.840.113549.1.9.7"), setOf(tlv(0x0c, Buffer.from("secret"))));
    const csr = parseCsr(makeCsr(key, [password, extensionRequest(ext.uri(id), ext.unknown(true))]));
    expect(csr.uriSans).toEqual([id]);
    await verifyCsr(csr);
  });
});

describe("refused", () => {
  const good = makeCsr(key, [extensionRequest(ext.uri(id))]);
  test.each([
    ["trailing bytes", Buffer.concat([good, Uint8Array.of(0)])],
    ["cut short", good.subarray(0, -1)],
    ["another version", makeCsr(key, [], small(1))],
    ["two extension requests", makeCsr(key, [extensionRequest(ext.uri(id)), extensionRequest(ext.uri(id))])],
    ["a duplicate extension", makeCsr(key, [extensionRequest(ext.uri(id), ext.uri(id))])],
    ["an empty extension request", makeCsr(key, [extensionRequest()])],
    ["a malformed extension", makeCsr(key, [extensionRequest(ext.raw("2.5.29.17", false, NULL))])],
    ["a URI with a line break", makeCsr(key, [extensionRequest(ext.san(gn.uri("spiffe://a/\n")))])],
    ["an attribute without values", makeCsr(key, [sequence(oid("1.2.3"))])],
    [
      "seventeen attributes",
      makeCsr(
        key,
        Array.from({ length: 17 }, () => sequence(oid("1.2.3"), setOf())),
      ),
    ],
    ["more than 64 KiB", new Uint8Array(65_537)],
    ["nothing", new Uint8Array(0)],
  ])("%s", (_name, der) => {
    expect(() => parseCsr(der)).toThrow(expect.objectContaining({ code: "MALFORMED" }));
  });

  test.each([
    ["a signature by another key", makeCsr({ ...key, privateKey: ecKey().privateKey }, [])],
    ["SHA-1", makeCsr({ ...key, algorithm: algorithms.ecdsaSha1 }, [])],
    [
      "an algorithm of another kind",
      makeCsr({ ...key, algorithm: { ...key.algorithm, identifier: algorithms.rsaSha256.identifier } }, []),
    ],
    ["RSA of 1024 bits", makeCsr(rsaKey(1024), [])],
    ["Ed25519", makeCsr(testKey(generateKeyPairSync("ed25519").privateKey, algorithms.ed25519), [])],
  ])("%s", async (_name, der) => {
    await expect(verifyCsr(parseCsr(der))).rejects.toThrow(expect.objectContaining({ code: "UNTRUSTED" }));
  });

  test("a key that is exchanged after signing", async () => {
    const parsed = parseCsr(good);
    await expect(verifyCsr({ ...parsed, publicKey: parseCsr(makeCsr(ecKey(), [])).publicKey })).rejects.toThrow(
      /not by the key/,
    );
  });
});
