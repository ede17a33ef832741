/** TPML_PCR_SELECTION: which PCRs of which banks (TPM 2.0 Part 2, 10.9.7). */
import { algOf, bankOf, type PcrBank } from "./algorithms.ts";
import { readWhole, type TpmReader } from "./reader.ts";
import { concat, u8, u16, u32 } from "./writer.ts";

/** PCRs of one bank, ascending. */
export interface PcrSelection {
  readonly bank: PcrBank;
  readonly indices: readonly number[];
}

/** PCRs of a PC client TPM are 0 to 23; the selection's bitmap has three bytes. */
export const MAX_PCR = 23;
const BITMAP_BYTES = 3;
/** TPMs have at most so many banks. */
const MAX_BANKS = 16;

/** Encodes selections in the order given. */
export function encodeSelection(selections: readonly PcrSelection[]): Uint8Array {
  return concat(
    u32(selections.length),
    ...selections.map(({ bank, indices }) => {
      const bitmap = new Uint8Array(BITMAP_BYTES);
      for (const index of indices) bitmap[index >> 3] = (bitmap[index >> 3] ?? 0) | (1 << (index & 7));
      return concat(u16(algOf(bank)), u8(BITMAP_BYTES), bitmap);
    }),
  );
}

/** Reads a whole TPML_PCR_SELECTION. Throws `MALFORMED`. */
export function parseSelection(bytes: Uint8Array): readonly PcrSelection[] {
  return readWhole("TPML_PCR_SELECTION", bytes, readSelection);
}

/** Reads selections. Banks of other algorithms are refused, unless nothing of them is selected or `others` is `skip`. */
export function readSelection(reader: TpmReader, others: "refuse" | "skip" = "refuse"): readonly PcrSelection[] {
  const count = reader.u32();
  if (count > MAX_BANKS) throw reader.fail(`selections of ${count} banks`);
  const selections: PcrSelection[] = [];
  for (let i = 0; i < count; i++) {
    const bank = bankOf(reader.u16());
    const length = reader.u8();
    if (length > 4) throw reader.fail("a PCR bitmap of more than four bytes");
    const bitmap = reader.bytes(length);
    const indices = indicesOf(bitmap);
    if (bank === undefined) {
      if (indices.length > 0 && others === "refuse") throw reader.fail("selects PCRs of a bank that is not accepted");
      continue;
    }
    selections.push({ bank, indices });
  }
  return selections;
}

/** Whether two selections are the same: banks in their order, PCRs in theirs. */
export function sameSelection(a: readonly PcrSelection[], b: readonly PcrSelection[]): boolean {
  // Not by their encoding, which has no room for PCRs beyond the last
  return selectionText(a) === selectionText(b);
}

/** Selections as people write them: `sha256:0,7`. */
export function selectionText(selections: readonly PcrSelection[]): string {
  return selections.map(({ bank, indices }) => `${bank}:${indices.join(",")}`).join("+") || "none";
}

function indicesOf(bitmap: Uint8Array): number[] {
  const indices: number[] = [];
  for (let index = 0; index < bitmap.length * 8; index++) {
    if (((bitmap[index >> 3] ?? 0) >> (index & 7)) & 1) indices.push(index);
  }
  return indices;
}
