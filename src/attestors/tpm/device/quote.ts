/** Makes a quote together with the values that it is over. */
import { AgentError } from "../../../lib/errors.ts";
import type { TpmHandle, TpmKey, TpmKeyBlob } from "../../../lib/native-tpm.ts";
import { digest, type TpmHash } from "../structures/algorithms.ts";
import { parseAttest } from "../structures/attest.ts";
import { encodeSelection, type PcrSelection } from "../structures/pcr-selection.ts";
import type { QuoteResponse } from "../wire.ts";
import { readPcrs } from "./pcrs.ts";

/** A PCR may be extended between reading and quoting; a machine that has booted does so rarely. */
const MAX_ATTEMPTS = 4;

/** A key that the TPM can load. */
export interface LoadableKey {
  readonly parent: TpmKey;
  readonly blob: TpmKeyBlob;
  /** Hash of its signatures, and so of the digest of PCR values. */
  readonly hash: TpmHash;
}

/** Quotes the PCRs; the values are those that the quote's digest covers. */
export async function makeQuote(
  tpm: TpmHandle,
  { parent, blob, hash }: LoadableKey,
  qualifyingData: Uint8Array,
  selection: readonly PcrSelection[],
): Promise<QuoteResponse> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const pcrs = await readPcrs(tpm, selection);
    const { attest, signature } = await tpm.quote(parent, blob, qualifyingData, encodeSelection(selection));
    const { attested } = parseAttest(attest);
    const values = selection.flatMap(({ bank, indices }) =>
      indices.map((index) => pcrs.get(bank)?.get(index) ?? new Uint8Array()),
    );
    if (attested.kind === "quote" && Buffer.compare(attested.pcrDigest, digest(hash, ...values)) === 0) {
      return { quoted: attest, signature, pcrs };
    }
  }
  throw new AgentError("UNAVAILABLE", "the PCRs change faster than they can be quoted");
}
