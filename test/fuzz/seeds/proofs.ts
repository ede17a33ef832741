/** Valid proofs of attestation keys that are no TPM's: what a TPM would state, signed by keys that the tests hold. */
import { ecKey, rsaKey, type SigningKey } from "./keys.ts";
import {
  ALG,
  creationAttest,
  creationData,
  hash,
  join,
  nameOfArea,
  publicArea,
  quoteAttest,
  type Selected,
  selection,
  signature,
} from "./structures.ts";

/** The keys; the elliptic ones first, for they sign faster. */
export const KEYS: readonly SigningKey[] = [
  ecKey("P-256", "first"),
  ecKey("P-384", "second"),
  ecKey("P-256", "third"),
  rsaKey(),
];

/** What proves an attestation key. */
export interface AkProof {
  readonly key: SigningKey;
  readonly area: Uint8Array;
  readonly data: Uint8Array;
  readonly attest: Uint8Array;
  readonly signature: Uint8Array;
}

/** A proof for each key. */
export const AK_PROOFS: readonly AkProof[] = KEYS.map((key, at) => {
  const area = publicArea(key, at === 1 ? { nameAlg: ALG.sha384 } : {});
  const data = creationData(Buffer.alloc(at * 4, 5));
  const attest = creationAttest(nameOfArea(area), hash(at === 1 ? ALG.sha384 : ALG.sha256, data));
  return { key, area, data, attest, signature: signature(key, attest) };
});

/** A value of a PCR that was sent beside a quote. */
export interface SentPcr {
  readonly bank: "sha1" | "sha256" | "sha384";
  readonly index: number;
  readonly value: Uint8Array;
}

/** What was asked, and the answer to it. */
export interface QuoteCase {
  readonly key: SigningKey;
  readonly qualifyingData: Uint8Array;
  readonly selected: readonly (Selected & { readonly bank: SentPcr["bank"] })[];
  readonly quoted: Uint8Array;
  readonly signature: Uint8Array;
  readonly pcrs: readonly SentPcr[];
}

const DIGEST_BYTES = { sha1: 20, sha256: 32, sha384: 48 } as const;

/** A quote by each key. */
export const QUOTES: readonly QuoteCase[] = KEYS.map((key, at) => {
  const banks = (["sha256", "sha1", "sha384"] as const).slice(0, (at % 3) + 1);
  const indices = at === 3 ? [0, 1, 2, 3, 7, 23] : [0, 7];
  // A TPM with more than 24 PCRs has a fourth byte in its bitmaps.
  const selected = banks.map((bank) => ({ bank, alg: ALG[bank], indices, bytes: at === 2 ? 4 : 3 }));
  const pcrs = selected.flatMap(({ bank, indices }) =>
    indices.map((index) => ({ bank, index, value: new Uint8Array(DIGEST_BYTES[bank]).fill(index) })),
  );
  const qualifyingData = hash(ALG.sha256, Buffer.from(`nonce ${at}`));
  const digest = hash(ALG[key.hash], join(...pcrs.map(({ value }) => value)));
  const quoted = quoteAttest(qualifyingData, selection(...selected), digest);
  return { key, qualifyingData, selected, quoted, signature: signature(key, quoted), pcrs };
});
