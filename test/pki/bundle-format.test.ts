/** Bundles as text: PEM and the SPIFFE document, by the rules of the standards' sections on bundles. */
import { createPublicKey, generateKeyPairSync, type JsonWebKey } from "node:crypto";
import { describe, expect, test } from "vitest";
import { formatBundle, parseBundle } from "../../src/pki/bundle-format.ts";
import { spkiOf } from "../../src/pki/keys.ts";
import { pemEncode } from "../../src/pki/pem.ts";
import { emptyBundle, type TrustBundle } from "../../src/spiffe/bundle.ts";
import { parseTrustDomain } from "../../src/spiffe/id.ts";
import type { Der } from "../../src/spiffe/svid.ts";
import { makeCa, rsaKey } from "./make.ts";

const td = parseTrustDomain("example.org");
const ec = makeCa();
const rsa = makeCa(undefined, { key: rsaKey() });
const jwtKey = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey;
const witKey = generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey;

const authority = (der: Uint8Array) => ({ certificate: der as Der, tainted: false });
const keyAuthority = (keyId: string, key: typeof jwtKey) => ({
  keyId,
  publicKey: spkiOf(key),
  expiresAt: 0,
  tainted: false,
});
const bundle: TrustBundle = {
  trustDomain: td,
  x509Authorities: [authority(ec.der), authority(rsa.der)],
  jwtAuthorities: [keyAuthority("jwt-1", jwtKey)],
  witAuthorities: [keyAuthority("wit-1", witKey)],
  refreshHint: 300,
  sequence: 2n ** 64n - 1n,
};

const spiffe = (document: unknown) => parseBundle(JSON.stringify(document), "spiffe", td);
const key = (index: number): Record<string, unknown> =>
  (JSON.parse(formatBundle(bundle, "spiffe")) as { keys: Record<string, unknown>[] }).keys[index]!;
const x509Key = key(0);
const jwt = key(2);
/** A part of the JWT key's two coordinates, joined. */
const point = (from: number, to: number): string =>
  Buffer.from(spkiOf(jwtKey)).subarray(-64).subarray(from, to).toString("base64url");
const without = (object: object, member: string) =>
  Object.fromEntries(Object.entries(object).filter(([name]) => name !== member));

describe("SPIFFE document", () => {
  test("survives writing and reading, a sequence of 64 bits included (BDL-05)", () => {
    expect(parseBundle(formatBundle(bundle, "spiffe"), "spiffe", td)).toEqual(bundle);
  });

  test("is written as SPIRE writes it (X509-24 to X509-26, JWT-14, BDL-02, BDL-04, BDL-06, BDL-07, BDL-11 to BDL-13)", () => {
    const text = formatBundle({ ...bundle, x509Authorities: [authority(ec.der)], witAuthorities: [] }, "spiffe");
    expect(text.split("\n").slice(0, 4)).toEqual([
      "{",
      '    "keys": [',
      "        {",
      '            "use": "x509-svid",',
    ]);
    expect(
      text.endsWith('    ],\n    "spiffe_sequence": 18446744073709551615,\n    "spiffe_refresh_hint": 300\n}\n'),
    ).toBe(true);
    const { keys } = JSON.parse(text) as { keys: Record<string, unknown>[] };
    expect(keys.map((member) => Object.keys(member))).toEqual([
      ["use", "kty", "crv", "x", "y", "x5c"],
      ["use", "kty", "kid", "crv", "x", "y"],
    ]);
    expect(keys[1]).toMatchObject({ kid: "jwt-1", ...jwtKey.export({ format: "jwk" }) });
    expect(keys[0]!.x5c).toEqual([Buffer.from(ec.der).toString("base64")]);
    expect(Object.keys(key(1))).toEqual(["use", "kty", "n", "e", "x5c"]);
  });

  test("has a use and a key ID for each WIT key (WIT-22)", () => {
    const { keys } = JSON.parse(formatBundle(bundle, "spiffe")) as { keys: Record<string, unknown>[] };
    expect(keys.filter(({ use }) => use === "wit-svid")).toEqual([
      { use: "wit-svid", kid: "wit-1", ...witKey.export({ format: "jwk" }) },
    ]);
  });

  test("is a JWK Set, whose keys others read (BDL-02)", () => {
    const { keys } = JSON.parse(formatBundle(bundle, "spiffe")) as { keys: JsonWebKey[] };
    const read = keys.map((element) => spkiOf(createPublicKey({ key: element, format: "jwk" })));
    expect(read.slice(2)).toEqual([spkiOf(jwtKey), spkiOf(witKey)]);
    expect(read).toHaveLength(4);
  });

  test("without refresh hint or sequence says none; without keys has an empty array (BDL-08)", () => {
    expect(formatBundle(emptyBundle(td), "spiffe")).toBe('{\n    "keys": []\n}\n');
  });

  test("is the bundle of the trust domain that was asked for (BDL-01)", () => {
    expect(spiffe({ keys: [] })).toEqual(emptyBundle(td));
  });
});

describe("ignored (BDL-03, BDL-09)", () => {
  test.each([
    ["unknown use [BDL-13]", { ...jwt, use: "future-svid" }],
    ["use in capitals [BDL-13]", { ...jwt, use: "JWT-SVID" }],
    ["missing use [BDL-13]", without(jwt, "use")],
    ["use that is no text", { ...jwt, use: 1 }],
    ["unknown key type [BDL-12]", { ...jwt, kty: "OKP", crv: "Ed25519" }],
    ["missing key type [BDL-12]", without(jwt, "kty")],
    ["unknown curve", { ...jwt, crv: "secp256k1" }],
    ["RSA of 1024 bits", { ...jwt, ...rsaKey(1024).privateKey.export({ format: "jwk" }) }],
    ["x509-svid without x5c [X509-27]", without(x509Key, "x5c")],
    ["x509-svid with empty x5c [X509-27]", { ...x509Key, x5c: [] }],
    ["x509-svid of unknown key type", { ...x509Key, kty: "OKP" }],
  ])("%s", (_name, element) => {
    const read = spiffe({ keys: [element, jwt], unknown_member: 1 });
    expect(read.jwtAuthorities.map(({ keyId }) => keyId)).toEqual(["jwt-1"]);
    expect(read.x509Authorities).toEqual([]);
  });

  test("all x5c values but the first, and the key ID of an x509-svid (X509-28)", () => {
    const { x509Authorities } = spiffe({
      keys: [{ ...x509Key, kid: "x", x5c: [...(x509Key.x5c as string[]), "not base64"] }],
    });
    expect(x509Authorities).toEqual([authority(ec.der)]);
  });

  test("duplicates", () => {
    const read = spiffe({ keys: [x509Key, x509Key, jwt, jwt] });
    expect(read.x509Authorities).toHaveLength(1);
    expect(read.jwtAuthorities).toHaveLength(1);
  });
});

describe("malformed", () => {
  test.each([
    ["no keys", {}],
    ["keys of another type", { keys: {} }],
    ["an array", []],
    ["null", null],
    ["a key that is no object", { keys: ["x"] }],
    ["too many keys", { keys: Array.from({ length: 1001 }, () => jwt) }],
    ["negative sequence", { keys: [], spiffe_sequence: -1 }],
    ["fractional sequence", { keys: [], spiffe_sequence: 1.5 }],
    ["sequence as text", { keys: [], spiffe_sequence: "1" }],
    ["fractional refresh hint", { keys: [], spiffe_refresh_hint: 0.5 }],
    ["refresh hint as text", { keys: [], spiffe_refresh_hint: "300" }],
    ["jwt-svid without kid", { keys: [without(jwt, "kid")] }],
    ["jwt-svid with empty kid", { keys: [{ ...jwt, kid: "" }] }],
    [
      "two keys under one kid",
      {
        keys: [
          jwt,
          { ...jwt, ...generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ format: "jwk" }) },
        ],
      },
    ],
    ["missing coordinate", { keys: [without(jwt, "y")] }],
    ["coordinates that are divided elsewhere", { keys: [{ ...jwt, x: point(0, 31), y: point(31, 64) }] }],
    ["short coordinate", { keys: [{ ...jwt, x: "AA" }] }],
    ["coordinate in plain base64", { keys: [{ ...jwt, x: `${"A".repeat(42)}+` }] }],
    ["point off the curve", { keys: [{ ...jwt, x: jwt.y }] }],
    ["x5c that is no array", { keys: [{ ...x509Key, x5c: "x" }] }],
    ["x5c that is an object", { keys: [{ ...x509Key, x5c: {} }] }],
    ["x5c with a number", { keys: [{ ...x509Key, x5c: [1] }] }],
    ["x5c that is no base64", { keys: [{ ...x509Key, x5c: ["*"] }] }],
    ["x5c that is no certificate", { keys: [{ ...x509Key, x5c: ["AAAA"] }] }],
    ["x5c with another key", { keys: [{ ...x509Key, x5c: [Buffer.from(makeCa().der).toString("base64")] }] }],
  ])("%s", (_name, document) => {
    expect(() => spiffe(document)).toThrow(expect.objectContaining({ code: "MALFORMED" }));
  });

  test("a long kid that comes with two keys is cut short in what is said of it", () => {
    const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const long = { ...jwt, kid: "k".repeat(10_000) };
    expect(() => spiffe({ keys: [long, { ...long, ...publicKey.export({ format: "jwk" }) }] })).toThrow(
      /two keys with the kid "k{100}"$/,
    );
  });

  test.each([
    ["no JSON", "{"],
    ["nothing", ""],
    ["sequence above 64 bits", '{"keys":[],"spiffe_sequence":18446744073709551616}'],
    ["sequence with an exponent", '{"keys":[],"spiffe_sequence":1e3}'],
    ["nested very deep", `{"keys":${"[".repeat(1_000_000)}${"]".repeat(1_000_000)}}`],
    ["more than 4 MiB", `{"keys":[]${" ".repeat(4 * 1024 * 1024)}}`],
  ])("%s", (_name, text) => {
    expect(() => parseBundle(text, "spiffe", td)).toThrow(expect.objectContaining({ code: "MALFORMED" }));
  });
});

describe("PEM", () => {
  test("holds the X.509 authorities, each once", () => {
    const text = formatBundle(bundle, "pem");
    const read = parseBundle(text + text, "pem", td);
    expect(read).toEqual({
      ...emptyBundle(td),
      x509Authorities: bundle.x509Authorities.map(({ certificate }) => authority(new Uint8Array(certificate))),
    });
  });
  test.each([
    ["nothing", ""],
    ["no certificate", pemEncode("PRIVATE KEY", ec.der)],
    ["a certificate with trailing bytes", pemEncode("CERTIFICATE", Buffer.concat([ec.der, ec.der]))],
    ["no PEM", "hello"],
    ["1001 certificates", pemEncode("CERTIFICATE", ec.der).repeat(1001)],
  ])("refuses %s", (_name, text) => {
    expect(() => parseBundle(text, "pem", td)).toThrow(expect.objectContaining({ code: "MALFORMED" }));
  });
});
