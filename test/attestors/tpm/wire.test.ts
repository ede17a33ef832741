/** The messages of both halves: encoded as SPIRE's plugin does, and read strictly. */
import { describe, expect, test } from "vitest";
import {
  encodeChallenge,
  encodePayload,
  encodeQuote,
  encodeSecret,
  parseChallenge,
  parsePayload,
  parseQuote,
  parseSecret,
  type TpmPayload,
} from "../../../src/attestors/tpm/wire.ts";
import { AgentError } from "../../../src/lib/errors.ts";
import { softEk } from "../../fakes/soft-tpm/tpm.ts";
import { ekCertificate, makeVendor } from "../../fakes/soft-tpm/vendor.ts";

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const text = (message: Uint8Array): string => Buffer.from(message).toString();
const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));
const ek = softEk("ec-p256");
const certificate = ekCertificate(makeVendor(), ek);
const PAYLOAD: TpmPayload = {
  ek: { certificate, publicKey: ek.spki },
  ak: { public: bytes(1), createData: bytes(2), createAttestation: bytes(3), createSignature: bytes(4) },
  quoteBanks: ["sha1", "sha256"],
};

function expectMalformed(read: () => unknown, detail: string): void {
  let error: unknown;
  try {
    read();
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(AgentError);
  expect((error as AgentError).code).toBe("MALFORMED");
  expect((error as AgentError).message).toContain(detail);
}

describe("the payload", () => {
  test("has Go's names and base64, the certificate before the key", () => {
    const sent = JSON.parse(text(encodePayload(PAYLOAD)));
    expect(sent).toEqual({
      EK: expect.any(String),
      AK: {
        Public: "AQ==",
        UseTCSDActivationFormat: false,
        CreateData: "Ag==",
        CreateAttestation: "Aw==",
        CreateSignature: "BA==",
      },
      Quote: { Banks: ["sha1", "sha256"] },
    });
    const labels = Buffer.from(sent.EK, "base64")
      .toString()
      .match(/(?<=BEGIN )[A-Z ]+(?=-)/g);
    expect(labels).toEqual(["CERTIFICATE", "PUBLIC KEY"]);
  });

  test.each([
    ["both", PAYLOAD],
    ["a certificate alone", { ...PAYLOAD, ek: { certificate, publicKey: undefined } }],
    ["a key alone", { ...PAYLOAD, ek: { certificate: undefined, publicKey: ek.spki } }],
    ["nothing to quote", { ...PAYLOAD, quoteBanks: [] }],
    ["no second exchange", { ...PAYLOAD, quoteBanks: undefined }],
  ])("is read as it was written, with %s", (_name, payload) => {
    const read = parsePayload(encodePayload(payload));
    expect(read.quoteBanks).toEqual(payload.quoteBanks);
    expect(Buffer.from(read.ek.certificate ?? [])).toEqual(Buffer.from(payload.ek.certificate ?? []));
    expect(Buffer.from(read.ek.publicKey ?? [])).toEqual(Buffer.from(payload.ek.publicKey ?? []));
    expect(Buffer.from(read.ak.createSignature)).toEqual(Buffer.of(4));
  });

  test("banks are those that are known, weakest first, each once", () => {
    const sent = JSON.parse(text(encodePayload(PAYLOAD)));
    sent.Quote.Banks = ["sha384", "sm3", "sha1", "sha384"];
    expect(parsePayload(json(sent)).quoteBanks).toEqual(["sha1", "sha384"]);
  });
});

describe("the credential", () => {
  test("is sent with sizes, as it is", () => {
    const credential = { credential: bytes(0, 1, 9), secret: bytes(0, 1, 8) };
    const sent = encodeChallenge({ kind: "credential", credential });
    expect(JSON.parse(text(sent))).toEqual({ EC: { Credential: "AAEJ", Secret: "AAEI" } });
    const read = parseChallenge(sent);
    if (read.kind !== "credential") throw new Error("it is another challenge");
    expect(Buffer.from(read.credential.credential)).toEqual(Buffer.of(0, 1, 9));
  });

  test("its answer is the secret", () => {
    expect(text(encodeSecret(bytes(7, 7)))).toBe('{"Secret":"Bwc="}');
    expect(Buffer.from(parseSecret(encodeSecret(bytes(7, 7))))).toEqual(Buffer.of(7, 7));
  });
});

describe("the quote challenge", () => {
  const selection = [
    { bank: "sha1", indices: [0] },
    { bank: "sha384", indices: [7, 23] },
  ] as const;

  test("names nonce, banks and PCRs", () => {
    const sent = encodeChallenge({ kind: "quote", nonce: bytes(1, 2), selection });
    expect(JSON.parse(text(sent))).toEqual({
      Quote: {
        Nonce: "AQI=",
        PCRs: [
          { Bank: "sha1", Indices: [0] },
          { Bank: "sha384", Indices: [7, 23] },
        ],
      },
    });
    expect(parseChallenge(sent)).toMatchObject({ kind: "quote", selection });
  });

  test("its answer has the values by bank and PCR, in hex", () => {
    const values = new Map([[7, new Uint8Array(32).fill(0xab)]]);
    const sent = encodeQuote({ quoted: bytes(1), signature: bytes(2), pcrs: new Map([["sha256", values]]) });
    expect(JSON.parse(text(sent))).toEqual({
      Quote: { Quoted: "AQ==", Signature: "Ag==", PCRs: { sha256: { 7: "ab".repeat(32) } } },
    });
    const read = parseQuote(sent);
    expect([...read.pcrs.keys()]).toEqual(["sha256"]);
    expect(read.pcrs.get("sha256")?.get(7)).toEqual(new Uint8Array(32).fill(0xab));
    expect(parseQuote(encodeQuote({ quoted: bytes(1), signature: bytes(2), pcrs: new Map() })).pcrs.size).toBe(0);
  });
});

describe("an agent refuses what a server may not ask", () => {
  const PCRs = [{ Bank: "sha256", Indices: [7] }];

  test.each([
    ["not JSON", Buffer.from("{"), "no JSON"],
    ["not UTF-8", Buffer.from([0x22, 0xff, 0x22]), "no JSON"],
    ["too long", Buffer.alloc(65_537, 0x20), "longer than 65536 bytes"],
    ["neither challenge", json({}), "challenge: "],
    ["null", json(null), "challenge: "],
    ["a credential without a secret", json({ EC: { Credential: "AA==" } }), "challenge: "],
    ["a credential that is no base64", json({ EC: { Credential: "!", Secret: "AA==" } }), "challenge: "],
    ["no nonce", json({ Quote: { PCRs } }), "challenge: "],
    ["an unknown bank", json({ Quote: { Nonce: "AA==", PCRs: [{ Bank: "sha512", Indices: [1] }] } }), "challenge: "],
    ["PCR 24", json({ Quote: { Nonce: "AA==", PCRs: [{ Bank: "sha256", Indices: [24] }] } }), "challenge: "],
    ["half a PCR", json({ Quote: { Nonce: "AA==", PCRs: [{ Bank: "sha256", Indices: [0.5] }] } }), "challenge: "],
    ["a bank without PCRs", json({ Quote: { Nonce: "AA==", PCRs: [{ Bank: "sha256", Indices: [] }] } }), "challenge: "],
    [
      "more PCRs than there are",
      json({ Quote: { Nonce: "AA==", PCRs: [{ Bank: "sha256", Indices: Array(25).fill(1) }] } }),
      "challenge: ",
    ],
    ["more banks than there are", json({ Quote: { Nonce: "AA==", PCRs: Array(4).fill(PCRs[0]) } }), "challenge: "],
  ])("%s", (_name, message, detail) => {
    expectMalformed(() => parseChallenge(message), detail);
  });

  test("members that it does not know are ignored", () => {
    const message = json({ EC: { Credential: "AA==", Secret: "AA==", More: 1 }, More: null });
    expect(parseChallenge(message).kind).toBe("credential");
  });
});

test("an error says where, and repeats no secret", () => {
  expectMalformed(() => parsePayload(json({ EK: "AA==", AK: { Public: 5 } })), "payload: AK.Public: ");
  const secret = "c2VjcmV0IQ=";
  try {
    parseSecret(json({ Secret: secret }));
  } catch (error) {
    expect((error as Error).message).not.toContain(secret);
  }
});
