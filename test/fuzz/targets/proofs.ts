/**
 * The verifiers. Half of the inputs are signed anew after they were changed, as someone who makes keys of their own
 * can, so that what comes after the signature is reached; of the others, only what was signed once may be believed.
 */
import { mutateFields, packFields, unpackFields } from "../../../scripts/fuzz/mutate-fields.ts";
import { type FuzzTarget, holds, type Verdict } from "../../../scripts/fuzz/target.ts";
import { verifyAk } from "../../../src/attestors/tpm/verify/ak.ts";
import { type QuoteProof, verifyQuote } from "../../../src/attestors/tpm/verify/quote.ts";
import { AK_PROOFS, KEYS, QUOTES, type SentPcr } from "../seeds/proofs.ts";
import { hash, join, nameOfArea, signature as signed, sized } from "../seeds/structures.ts";
import { checkAk, checkQuote } from "./believed.ts";
import { TPM } from "./covers.ts";
import { outcome, same } from "./refusal.ts";

/** Sign after the change. */
const SIGN = 1;
/** Before that, put name and hash of the creation, or the digest of the values, where the statement has them. */
const REPAIR = 2;
/** Which key, above the other flags. */
const KEY_SHIFT = 2;
const EMPTY = new Uint8Array();
const BANKS = ["sha1", "sha256", "sha384"] as const;

/** Attestation keys. */
export const ak: FuzzTarget = {
  name: "verify-ak",
  about: "proofs of an attestation key, signed: verifyAk",
  covers: TPM,
  maxBytes: 20_000,
  seeds: () =>
    AK_PROOFS.flatMap((proof, at) =>
      variants(at).map((flags) =>
        packFields({ flags, parts: [proof.area, proof.data, proof.attest, proof.signature] }),
      ),
    ),
  favoursSeeds: true,
  mutate: mutateFields(4),
  run: (input) => {
    const { flags, parts } = unpackFields(input, 4);
    const [area = EMPTY, data = EMPTY, sent = EMPTY, sentSignature = EMPTY] = parts;
    const key = KEYS[(flags >> KEY_SHIFT) % KEYS.length] ?? KEYS[0];
    holds(key !== undefined, "there are keys");
    const attest = (flags & REPAIR) === 0 ? sent : withCreation(sent, area, data);
    const isResigned = (flags & SIGN) !== 0;
    const signature = isResigned ? signed(key, attest) : sentSignature;
    const proof = { public: area, createData: data, createAttestation: attest, createSignature: signature };
    return refusable(
      () => verifyAk(proof),
      () => {
        const original = AK_PROOFS.find((one) => same(one.attest, attest));
        if (!isResigned)
          holds(
            original !== undefined && same(original.area, area) && same(original.data, data),
            "nothing that was not signed is believed",
          );
        checkAk({ area, data, attest, signature }, isResigned ? key : (original?.key ?? key));
      },
    );
  },
};

/** Quotes. */
export const quote: FuzzTarget = {
  name: "verify-quote",
  about: "quotes with the values that they are over, signed: verifyQuote",
  covers: TPM,
  maxBytes: 20_000,
  seeds: () =>
    QUOTES.flatMap(({ quoted, signature, pcrs }, at) =>
      variants(at).map((flags) => packFields({ flags, parts: [quoted, signature, packPcrs(pcrs)] })),
    ),
  favoursSeeds: true,
  mutate: mutateFields(3),
  run: (input) => {
    const { flags, parts } = unpackFields(input, 3);
    const [sent = EMPTY, sentSignature = EMPTY, packed = EMPTY] = parts;
    const asked = QUOTES[(flags >> KEY_SHIFT) % QUOTES.length] ?? QUOTES[0];
    holds(asked !== undefined, "there are quotes");
    const { key, qualifyingData, selected } = asked;
    const pcrs = unpackPcrs(packed);
    const values = selected.flatMap(({ bank, indices }) => indices.map((index) => pcrs.get(bank)?.get(index) ?? EMPTY));
    const digest = sized(hash(key.hash === "sha256" ? 0x000b : 0x000c, join(...values)));
    const quoted = (flags & REPAIR) === 0 ? sent : withEnd(sent, digest);
    const isResigned = (flags & SIGN) !== 0;
    const signature = isResigned ? signed(key, quoted) : sentSignature;
    const request = {
      key: key.publicKey,
      scheme: { kind: key.kind, hash: key.hash },
      qualifyingData,
      selection: selected,
    } as const;
    return refusable(
      () => verifyQuote({ quoted, signature, pcrs }, request),
      () => {
        if (!isResigned) holds(same(quoted, asked.quoted), "nothing that was not signed is believed");
        checkQuote(asked, quoted, signature, flat(pcrs));
      },
    );
  },
};

/** As it was signed; signed anew; repaired and signed anew. */
function variants(key: number): readonly number[] {
  return [0, SIGN, SIGN | REPAIR].map((flags) => flags | (key << KEY_SHIFT));
}

/** A refusal is `PERMISSION_DENIED`, and tells the peer nothing. */
function refusable(verify: () => unknown, check: () => void): Verdict {
  const result = outcome(verify, "PERMISSION_DENIED");
  if (result.verdict === "accepted") check();
  return result.verdict;
}

function algOf(area: Uint8Array): number {
  return ((area[2] ?? 0) << 8) | (area[3] ?? 0);
}

/** The statement with name and hash of this creation after its head, which ends with the firmware's version. */
function withCreation(attest: Uint8Array, area: Uint8Array, data: Uint8Array): Uint8Array {
  const signer = ((attest[6] ?? 0) << 8) | (attest[7] ?? 0);
  const extra = ((attest[8 + signer] ?? 0) << 8) | (attest[9 + signer] ?? 0);
  const head = attest.subarray(0, 10 + signer + extra + 25);
  return join(head, sized(nameOfArea(area)), sized(hash(algOf(area), data)));
}

function withEnd(bytes: Uint8Array, end: Uint8Array): Uint8Array {
  return bytes.length < end.length ? bytes : join(bytes.subarray(0, bytes.length - end.length), end);
}

/** Bank, index and length in a byte each, then the value. */
function packPcrs(pcrs: readonly SentPcr[]): Uint8Array {
  return join(
    ...pcrs.flatMap(({ bank, index, value }) => [Uint8Array.of(BANKS.indexOf(bank), index, value.length), value]),
  );
}

function unpackPcrs(packed: Uint8Array): Map<SentPcr["bank"], Map<number, Uint8Array>> {
  const pcrs = new Map<SentPcr["bank"], Map<number, Uint8Array>>();
  for (let at = 0; at + 3 <= packed.length; at += 3 + (packed[at + 2] ?? 0)) {
    const bank = BANKS[(packed[at] ?? 0) % BANKS.length] ?? "sha256";
    const values = pcrs.get(bank) ?? new Map<number, Uint8Array>();
    pcrs.set(bank, values.set(packed[at + 1] ?? 0, packed.subarray(at + 3, at + 3 + (packed[at + 2] ?? 0))));
  }
  return pcrs;
}

function flat(pcrs: QuoteProof["pcrs"]): readonly SentPcr[] {
  return [...pcrs].flatMap(([bank, values]) => [...values].map(([index, value]) => ({ bank, index, value })));
}
