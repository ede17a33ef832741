/** Genuine quotes of other people's TPMs: ours says what their makers' tools say, and sees through what is not one. */
import { createPublicKey } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { PcrBank, TpmHash } from "../../../src/attestors/tpm/structures/algorithms.ts";
import { parseAttest } from "../../../src/attestors/tpm/structures/attest.ts";
import { nameOf, parsePublicArea, spkiOf } from "../../../src/attestors/tpm/structures/public-area.ts";
import { AK_HASHES, verifyAk } from "../../../src/attestors/tpm/verify/ak.ts";
import { type QuoteProof, type VerifiedQuote, verifyQuote } from "../../../src/attestors/tpm/verify/quote.ts";
import type { AkParameters } from "../../../src/attestors/tpm/wire.ts";
import { publicKeyFromSpki } from "../../../src/pki/spki.ts";
import { GenuineData } from "./genuine-data.ts";
import { expectRefusal, flipped, longer } from "./vector.ts";

interface GenuineQuote {
  readonly bank: PcrBank;
  readonly quote: string;
  readonly signature: string;
  readonly parsed: {
    readonly clockInfo: { readonly resetCount: number; readonly restartCount: number };
    readonly firmwareVersion: string;
  };
  readonly pcrs: Readonly<Record<string, string>>;
}

interface Case {
  readonly name: string;
  readonly nonceHex: string;
  readonly akPublicTpmt: string;
  readonly akPublic: { readonly name: string; readonly spkiPem: string; readonly attributes: string };
  readonly createData?: string;
  readonly createAttestation?: string;
  readonly createSignature?: string;
  readonly quotes: readonly GenuineQuote[];
}

const data = new GenuineData("tpm-quotes");
const WINDOWS = "gcp-windows-shielded-vm";
const GCE = "gce-cos-85-nonce9009";
const KEYLIME = "keylime-tpm2-tools";
const NAMES = [WINDOWS, GCE, KEYLIME];
const WITH_SHA1: ReadonlySet<TpmHash> = new Set([...AK_HASHES, "sha1"]);

const load = (name: string): Case => JSON.parse(data.text(`${name}.json`));
const base64 = (text: string | undefined): Buffer => Buffer.from(text ?? "", "base64");
const proofOf = ({ quote, signature, bank, pcrs }: GenuineQuote): QuoteProof => ({
  quoted: base64(quote),
  signature: base64(signature),
  pcrs: new Map([
    [bank, new Map(Object.entries(pcrs).map(([index, hex]) => [Number(index), Buffer.from(hex, "hex")]))],
  ]),
});

interface Change {
  readonly nonceHex?: string;
  readonly hashes?: ReadonlySet<TpmHash> | undefined;
  readonly proof?: Partial<QuoteProof>;
  readonly selection?: readonly { readonly bank: PcrBank; readonly indices: readonly number[] }[];
}

/** As the server judges a quote, but for another nonce than its own. */
async function judge(of: Case, quote: GenuineQuote, change: Change = {}): Promise<VerifiedQuote> {
  const area = parsePublicArea(base64(of.akPublicTpmt));
  if (area.scheme === undefined) throw new Error("the key has no scheme");
  const hashes = "hashes" in change ? change.hashes : WITH_SHA1;
  return verifyQuote(
    { ...proofOf(quote), ...change.proof },
    {
      key: publicKeyFromSpki(spkiOf(area)),
      scheme: area.scheme,
      qualifyingData: Buffer.from(change.nonceHex ?? of.nonceHex, "hex"),
      selection: change.selection ?? [{ bank: quote.bank, indices: Object.keys(quote.pcrs).map(Number) }],
      ...(hashes === undefined ? {} : { hashes }),
    },
  );
}

describe.skipIf(data.isMissing)(`genuine quotes${data.why}`, () => {
  describe.each(data.isMissing ? [] : NAMES)("%s", (name) => {
    const of = load(name);

    test("the key's name and SubjectPublicKeyInfo are those of other tools", () => {
      const area = parsePublicArea(base64(of.akPublicTpmt));
      expect(Buffer.from(nameOf(area)).toString("hex")).toBe(of.akPublic.name);
      expect(area.attributes).toBe(Number(of.akPublic.attributes));
      const theirs = createPublicKey(of.akPublic.spkiPem).export({ type: "spki", format: "der" });
      expect(Buffer.from(spkiOf(area))).toEqual(theirs);
    });

    describe.each(of.quotes)("bank $bank", (quote) => {
      test("is accepted, and tells counters, firmware and PCRs", async () => {
        const verified = await judge(of, quote);
        expect(verified.clockInfo).toMatchObject({
          resetCount: quote.parsed.clockInfo.resetCount,
          restartCount: quote.parsed.clockInfo.restartCount,
        });
        expect(verified.firmwareVersion).toBe(BigInt(`0x${quote.parsed.firmwareVersion}`));
        expect(verified.pcrs.get(quote.bank)?.size).toBe(Object.keys(quote.pcrs).length);
      });

      test("is refused where it is not what was asked for", async () => {
        await expectRefusal(judge(of, quote, { nonceHex: `${of.nonceHex}00` }), "quote-nonce");
        const fewer = Object.keys(quote.pcrs).map(Number).slice(1);
        const selection = [{ bank: quote.bank, indices: fewer }];
        await expectRefusal(judge(of, quote, { selection }), "quote-selection");
      });

      test("is refused with a PCR value, the signature or the statement changed", async () => {
        const { quoted, signature, pcrs } = proofOf(quote);
        const values = new Map(pcrs.get(quote.bank));
        const [index, value] = [...values][0] ?? [0, Buffer.alloc(0)];
        values.set(index, flipped(value));
        const change = (proof: Partial<QuoteProof>): Promise<unknown> => judge(of, quote, { proof });
        await expectRefusal(change({ pcrs: new Map([[quote.bank, values]]) }), "quote-pcr-digest");
        await expectRefusal(change({ signature: flipped(signature) }), "quote-signature");
        await expectRefusal(change({ quoted: flipped(quoted) }), "quote-signature");
        await expectRefusal(change({ quoted: flipped(quoted, 0) }), "quote-magic");
        await expectRefusal(change({ quoted: longer(quoted) }), "quote-encoding");
      });
    });
  });

  test("SHA-1 signatures are refused unless they are asked for", async () => {
    const of = load(WINDOWS);
    for (const quote of of.quotes) {
      await expectRefusal(judge(of, quote, { hashes: undefined }), "quote-signature-hash");
    }
    for (const name of [GCE, KEYLIME]) {
      const other = load(name);
      for (const quote of other.quotes) await judge(other, quote, { hashes: undefined });
    }
  });

  test("quotes of two banks do not stand for each other", async () => {
    const of = load(GCE);
    const [one, two] = of.quotes;
    if (one === undefined || two === undefined) throw new Error("there is one bank");
    const { quoted, signature } = proofOf(two);
    await expectRefusal(judge(of, one, { proof: { quoted, signature } }), "quote-selection");
    await expectRefusal(judge(of, one, { proof: { signature } }), "quote-signature");
  });

  test("a signature of another device is none", async () => {
    const [of, other] = [load(GCE), load(KEYLIME)];
    const [quote, foreign] = [of.quotes[0], other.quotes[0]];
    if (quote === undefined || foreign === undefined) throw new Error("there is no quote");
    const { signature } = proofOf(foreign);
    await expectRefusal(judge(of, quote, { proof: { signature } }), "quote-signature");
  });

  test("a creation that is sent as a quote is none", async () => {
    const of = load(WINDOWS);
    const [quote] = of.quotes;
    if (quote === undefined) throw new Error("there is no quote");
    const proof = { quoted: base64(of.createAttestation), signature: base64(of.createSignature) };
    await expectRefusal(judge(of, quote, { proof }), "quote-type");
  });
});

describe.skipIf(data.isMissing)(`a genuine attestation key${data.why}`, () => {
  const params = (): AkParameters => {
    const of = load(WINDOWS);
    return {
      public: base64(of.akPublicTpmt),
      createData: base64(of.createData),
      createAttestation: base64(of.createAttestation),
      createSignature: base64(of.createSignature),
    };
  };
  const judge = async (change: Partial<AkParameters>, hashes?: ReadonlySet<TpmHash>) =>
    verifyAk({ ...params(), ...change }, hashes);

  test("is accepted where SHA-1 is, and named as by other tools", async () => {
    const { name } = await judge({}, WITH_SHA1);
    expect(Buffer.from(name).toString("hex")).toBe(load(WINDOWS).akPublic.name);
    expect(parseAttest(params().createAttestation).attested.kind).toBe("creation");
  });

  test("is refused for its SHA-1 scheme otherwise", async () => {
    await expectRefusal(judge({}), "ak-scheme");
  });

  test("is refused with anything of it changed", async () => {
    const { createData, createAttestation, createSignature } = params();
    await expectRefusal(judge({ createData: flipped(createData, 8) }, WITH_SHA1), "ak-creation-data");
    await expectRefusal(judge({ createAttestation: flipped(createAttestation) }, WITH_SHA1), "ak-creation-data");
    await expectRefusal(judge({ createAttestation: flipped(createAttestation, 0) }, WITH_SHA1), "ak-creation-magic");
    await expectRefusal(judge({ createSignature: flipped(createSignature) }, WITH_SHA1), "ak-creation-signature");
    const [quote] = load(WINDOWS).quotes;
    await expectRefusal(judge({ createAttestation: base64(quote?.quote) }, WITH_SHA1), "ak-creation-type");
  });
});
