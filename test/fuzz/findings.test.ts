/** What the fuzzer found, so that it stays mended. */
import { describe, expect, test } from "vitest";
import { parseSelection, sameSelection } from "../../src/attestors/tpm/structures/pcr-selection.ts";
import { verifyQuote } from "../../src/attestors/tpm/verify/quote.ts";
import { parsePayload, parseQuote } from "../../src/attestors/tpm/wire.ts";
import { AgentError } from "../../src/lib/errors.ts";
import { pemBlocks } from "../../src/pki/pem.ts";
import { QUOTES } from "./seeds/proofs.ts";
import { ALG, hash, join, quoteAttest, selection, signature } from "./seeds/structures.ts";

describe("a bitmap of four bytes names PCRs that no selection of ours can", () => {
  const asked = QUOTES[0]!;
  const more = selection({ alg: ALG.sha256, indices: [0, 7, 24], bytes: 4 });

  test("it is not the same selection without them", () => {
    expect(sameSelection(parseSelection(more), asked.selected)).toBe(false);
    expect(sameSelection(asked.selected, parseSelection(more))).toBe(false);
  });

  test("a quote over them is not believed", () => {
    const digest = hash(ALG.sha256, join(...asked.pcrs.map(({ value }) => value)));
    const quoted = quoteAttest(asked.qualifyingData, more, digest);
    const values = new Map(asked.pcrs.map(({ index, value }) => [index, value]));
    const proof = { quoted, signature: signature(asked.key, quoted), pcrs: new Map([["sha256", values] as const]) };
    const { publicKey: key, kind, hash: by } = asked.key;
    const request = {
      key,
      scheme: { kind, hash: by },
      qualifyingData: asked.qualifyingData,
      selection: asked.selected,
    };
    expect(() => verifyQuote(proof, request)).toThrow(/quote-selection/);
    const whole = selection({ alg: ALG.sha256, indices: [0, 7], bytes: 4 });
    const same = quoteAttest(asked.qualifyingData, whole, digest);
    expect(() => verifyQuote({ ...proof, quoted: same, signature: signature(asked.key, same) }, request)).not.toThrow();
  });
});

describe("a refusal goes to the log, and is short whatever a peer sent", () => {
  const long = "A".repeat(9_000);
  const quote = (pcrs: object): Uint8Array =>
    Buffer.from(JSON.stringify({ Quote: { Quoted: "", Signature: "", PCRs: pcrs } }));
  const block = `-----BEGIN ${long}-----\nAAAA\n-----END ${long}-----\n`;
  const ak = { Public: "", CreateData: "", CreateAttestation: "", CreateSignature: "" };
  const payload = Buffer.from(JSON.stringify({ EK: Buffer.from(block).toString("base64"), AK: ak }));

  test.each([
    ["the name of a PCR", () => parseQuote(quote({ sha256: { [long]: "00".repeat(32) } }))],
    ["the name of a bank", () => parseQuote(quote({ [long]: {} }))],
    [
      "the names of many banks",
      () => parseQuote(quote(Object.fromEntries(Array.from({ length: 3_000 }, (_, at) => [`bank ${at}`, {}])))),
    ],
    ["the label of a PEM block of the payload", () => parsePayload(payload)],
    ["the label of a PEM block without end", () => pemBlocks(`-----BEGIN ${long}-----\n`)],
  ])("%s", (_, read) => {
    const error = thrownBy(read);
    expect(error.code).toBe("MALFORMED");
    expect(error.message.length).toBeLessThanOrEqual(1_000);
  });
});

function thrownBy(read: () => unknown): AgentError {
  try {
    read();
  } catch (error) {
    if (error instanceof AgentError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}
