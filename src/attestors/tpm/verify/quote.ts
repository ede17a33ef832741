/** Verifies a quote: that this attestation key's TPM, asked just now and for this CSR, had these values in its PCRs. */
import { type KeyObject, timingSafeEqual } from "node:crypto";
import { digest, digestBytes, type PcrBank, type TpmHash } from "../structures/algorithms.ts";
import { type Attest, parseAttest, TPM_GENERATED } from "../structures/attest.ts";
import { type PcrSelection, sameSelection, selectionText } from "../structures/pcr-selection.ts";
import type { SigningScheme } from "../structures/public-area.ts";
import { parseSignature, verifyTpmSignature } from "../structures/signature.ts";
import { AK_HASHES } from "./ak.ts";
import { must, parsed, refuse } from "./checks.ts";

/** PCR values by index. */
export type PcrValues = ReadonlyMap<number, Uint8Array>;

/** PCR values of several banks. */
export type PcrBanks = ReadonlyMap<PcrBank, PcrValues>;

/** A quote as the agent sent it. */
export interface QuoteProof {
  /** TPMS_ATTEST. */
  readonly quoted: Uint8Array;
  /** TPMT_SIGNATURE. */
  readonly signature: Uint8Array;
  readonly pcrs: PcrBanks;
}

/** What was asked for, and of whom. */
export interface QuoteRequest {
  readonly key: KeyObject;
  readonly scheme: SigningScheme;
  /** What the quote's extraData must be. */
  readonly qualifyingData: Uint8Array;
  readonly selection: readonly PcrSelection[];
  /** Default: SHA-2 only. */
  readonly hashes?: ReadonlySet<TpmHash>;
}

/** What a verified quote tells. */
export interface VerifiedQuote {
  readonly pcrs: PcrBanks;
  readonly clockInfo: Attest["clockInfo"];
  readonly firmwareVersion: bigint;
}

/** All checks of a quote. Throws a refusal that names the one that failed. */
export function verifyQuote(proof: QuoteProof, request: QuoteRequest): VerifiedQuote {
  const { scheme, selection, hashes = AK_HASHES } = request;
  const attest = parsed("quote-encoding", () => parseAttest(proof.quoted));
  const signature = parsed("quote-encoding", () => parseSignature(proof.signature));
  const { attested } = attest;
  // Part 2, 10.12.12: a statement of another kind is no quote, whatever it says
  if (attested.kind !== "quote") throw refuse("quote-type", "the statement is not a quote");
  must("quote-magic", attest.magic === TPM_GENERATED, "the statement was not made by a TPM");
  must("quote-nonce", sameSecret(attest.extraData, request.qualifyingData), "it answers another nonce, or another CSR");
  const isScheme = signature.kind === scheme.kind && signature.hash === scheme.hash;
  must("quote-signature-hash", isScheme && hashes.has(signature.hash), () => `signed with ${signature.hash}`);
  const isSigned = verifyTpmSignature(signature, request.key, proof.quoted);
  must("quote-signature", isSigned, "the attestation key of this attestation did not sign it");
  must(
    "quote-selection",
    sameSelection(attested.selection, selection),
    () => `it is over ${selectionText(attested.selection)}, asked was ${selectionText(selection)}`,
  );
  checkValues(proof.pcrs, selection);
  // Part 3, 18.4: the digest is by the hash of the signature, over the values in the order of the selection
  const values = selection.flatMap(({ bank, indices }) => indices.map((index) => pcrOf(proof.pcrs, bank, index)));
  const isDigest = Buffer.compare(attested.pcrDigest, digest(scheme.hash, ...values)) === 0;
  must("quote-pcr-digest", isDigest, "the PCR values sent are not those that were quoted");
  return { pcrs: proof.pcrs, clockInfo: attest.clockInfo, firmwareVersion: attest.firmwareVersion };
}

/** Every value that was asked for, of its bank's length, and no other. */
function checkValues(pcrs: PcrBanks, selection: readonly PcrSelection[]): void {
  const banks = new Map(selection.map(({ bank, indices }) => [bank, indices]));
  for (const [bank, values] of pcrs) {
    const asked = banks.get(bank);
    must("quote-pcrs", asked !== undefined, `values of bank ${bank}, which was not asked for`);
    for (const [index, value] of values) {
      must("quote-pcrs", asked?.includes(index) === true, `PCR ${index} of ${bank}, which was not asked for`);
      must("quote-pcrs", value.length === digestBytes(bank), `PCR ${index} of ${bank} has ${value.length} bytes`);
    }
  }
  for (const { bank, indices } of selection) {
    const missing = indices.find((index) => pcrs.get(bank)?.has(index) !== true);
    must("quote-pcrs", missing === undefined, `PCR ${missing} of ${bank} is missing`);
  }
}

function pcrOf(pcrs: PcrBanks, bank: PcrBank, index: number): Uint8Array {
  return pcrs.get(bank)?.get(index) ?? new Uint8Array();
}

function sameSecret(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
