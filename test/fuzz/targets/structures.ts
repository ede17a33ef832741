/** The readers of a TPM's structures. What they accept is written again, and must be the bytes that were read. */
import { mutateBytes } from "../../../scripts/fuzz/mutate-bytes.ts";
import { mutateFields, packFields, unpackFields } from "../../../scripts/fuzz/mutate-fields.ts";
import { type FuzzTarget, holds } from "../../../scripts/fuzz/target.ts";
import { parseAttest } from "../../../src/attestors/tpm/structures/attest.ts";
import { checkCreationData } from "../../../src/attestors/tpm/structures/creation-data.ts";
import { checkCredential } from "../../../src/attestors/tpm/structures/credential.ts";
import {
  encodeSelection,
  MAX_PCR,
  parseSelection,
  sameSelection,
} from "../../../src/attestors/tpm/structures/pcr-selection.ts";
import { parseSignature } from "../../../src/attestors/tpm/structures/signature.ts";
import { GENUINE } from "../seeds/genuine.ts";
import { AK_PROOFS, QUOTES } from "../seeds/proofs.ts";
import { ALG, creationData, credential, join, selection, sized, u16 } from "../seeds/structures.ts";
import { TPM } from "./covers.ts";
import { judged, same } from "./refusal.ts";

const SELECTIONS = [
  selection(),
  selection({ alg: ALG.sha256, indices: [0, 7, 23] }),
  selection({ alg: ALG.sha1, indices: [] }, { alg: ALG.sha384, indices: [1, 16], bytes: 4 }),
  selection({ alg: ALG.sha512, indices: [] }, { alg: ALG.sha256, indices: [8], bytes: 2 }),
];

/** TPMS_ATTEST. */
export const attest: FuzzTarget = {
  name: "attest",
  about: "TPMS_ATTEST: parseAttest",
  covers: TPM,
  maxBytes: 5_000,
  seeds: () => [
    ...AK_PROOFS.map((proof) => proof.attest),
    ...QUOTES.map(({ quoted }) => quoted),
    ...GENUINE.flatMap(({ quotes }) => quotes.map(({ quoted }) => quoted)),
  ],
  mutate: mutateBytes,
  run: (input) =>
    judged(
      () => parseAttest(input),
      ({ bytes, magic, extraData, clockInfo, firmwareVersion, attested }) => {
        const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
        holds(same(bytes, input), "the bytes that were signed are those that were read");
        const signer = view.getUint16(6);
        holds(signer <= 66 && extraData.length <= 66, "members are no longer than the TPM's");
        const after = 8 + signer + 2 + extraData.length;
        holds(view.getUint32(0) === magic, "the magic is the first four bytes");
        holds(same(extraData, input.subarray(after - extraData.length, after)), "extraData follows the signer");
        holds(view.getBigUint64(after) === clockInfo.clock, "the clock follows");
        holds(view.getUint8(after + 16) === (clockInfo.safe ? 1 : 0), "safe follows the counters");
        holds(view.getBigUint64(after + 17) === firmwareVersion, "the firmware's version follows");
        const rest = input.subarray(after + 25);
        if (attested.kind === "creation") {
          holds(
            same(rest, join(sized(attested.objectName), sized(attested.creationHash))),
            "a creation is its last bytes",
          );
        } else if (attested.kind === "quote") {
          const digest = sized(attested.pcrDigest);
          holds(same(rest.subarray(rest.length - digest.length), digest), "a quote ends with its digest");
          checkSelection(rest.subarray(0, rest.length - digest.length), attested.selection);
        } else holds(view.getUint16(4) === attested.type, "the type of another statement is told");
      },
    ),
};

/** TPMT_SIGNATURE. */
export const signature: FuzzTarget = {
  name: "signature",
  about: "TPMT_SIGNATURE: parseSignature",
  covers: TPM,
  maxBytes: 5_000,
  seeds: () => [
    ...AK_PROOFS.map((proof) => proof.signature),
    ...GENUINE.flatMap(({ quotes }) => quotes.map((quote) => quote.signature)),
  ],
  mutate: mutateBytes,
  run: (input) =>
    judged(
      () => parseSignature(input),
      (value) => {
        const alg = u16(value.kind === "rsassa" ? 0x0014 : 0x0018);
        const numbers = value.kind === "rsassa" ? [value.value] : [value.r, value.s];
        holds(same(input, join(alg, u16(ALG[value.hash]), ...numbers.map(sized))), "it is written as it was read");
      },
    ),
};

/** TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET. */
export const idObject: FuzzTarget = {
  name: "id-object",
  about: "TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET: checkCredential",
  covers: TPM,
  maxBytes: 5_000,
  seeds: () =>
    [credential(32, 256), credential(32, 68), credential(48, 100)].map((one) =>
      packFields({ flags: 0, parts: [one.idObject, one.secret] }),
    ),
  mutate: mutateFields(2),
  run: (input) => {
    const [object = new Uint8Array(), secret = new Uint8Array()] = unpackFields(input, 2).parts;
    return judged(
      () => checkCredential({ credential: object, secret }),
      () => {
        const view = new DataView(object.buffer, object.byteOffset, object.byteLength);
        const [whole, integrity] = [view.getUint16(0), view.getUint16(2)];
        holds(whole === object.length - 2, "the object has the length that it says");
        holds(integrity > 0 && integrity <= 64, "its integrity value is a digest");
        const identity = whole - 2 - integrity;
        holds(identity >= 3 && identity <= 66, "its identity is a sized digest");
        holds(
          same(secret, sized(secret.subarray(2))) && secret.length > 2 && secret.length <= 514,
          "the secret is sized",
        );
      },
    );
  },
};

/** TPML_PCR_SELECTION. */
export const pcrSelection: FuzzTarget = {
  name: "selection",
  about: "TPML_PCR_SELECTION: parseSelection, encodeSelection",
  covers: TPM,
  maxBytes: 5_000,
  seeds: () => SELECTIONS,
  mutate: mutateBytes,
  run: (input) =>
    judged(
      () => parseSelection(input),
      (value) => checkSelection(input, value),
    ),
};

/** TPMS_CREATION_DATA. */
export const creation: FuzzTarget = {
  name: "creation-data",
  about: "TPMS_CREATION_DATA: checkCreationData",
  covers: TPM,
  maxBytes: 5_000,
  seeds: () => [
    creationData(),
    creationData(Buffer.alloc(32, 1)),
    ...GENUINE.flatMap((one) => (one.creation === undefined ? [] : [one.creation.data])),
  ],
  mutate: mutateBytes,
  run: (input) =>
    judged(
      () => checkCreationData(input),
      () => holds(input.length >= 4 + 2 + 1 + 2 + 6, "it has all its members"),
    ),
};

/** Reads the bytes once more, by hand: every bit that is set must have been told, and none besides. */
function checkSelection(bytes: Uint8Array, told: ReturnType<typeof parseSelection>): void {
  const banks: Record<number, string> = { [ALG.sha1]: "sha1", [ALG.sha256]: "sha256", [ALG.sha384]: "sha384" };
  const set: string[] = [];
  for (let at = 4; at < bytes.length; at += 3 + (bytes[at + 2] ?? 0)) {
    const bank = banks[((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)] ?? "another";
    const bitmap = bytes.subarray(at + 3, at + 3 + (bytes[at + 2] ?? 0));
    for (const [byte, bits] of bitmap.entries())
      for (let bit = 0; bit < 8; bit++) if ((bits >> bit) & 1) set.push(`${bank}:${byte * 8 + bit}`);
  }
  const flat = told.flatMap(({ bank, indices }) => indices.map((index) => `${bank}:${index}`));
  holds(set.join() === flat.join(), "the PCRs that are selected are those that are told");
  const written = parseSelection(encodeSelection(told));
  // There are bitmaps of four bytes, but none is written: no PCR beyond the last is ever asked for.
  const writable = told.map(({ bank, indices }) => ({ bank, indices: indices.filter((index) => index <= MAX_PCR) }));
  holds(JSON.stringify(written) === JSON.stringify(writable), "a selection is written and read as the same");
  holds(sameSelection(told, told), "a selection is the same as itself");
  const isWhole = JSON.stringify(writable) === JSON.stringify(told);
  holds(sameSelection(writable, told) === isWhole, "a selection is not the same as another");
}
