/** TPML_PCR_SELECTION: encoded, read, compared, and written for people. */
import { describe, expect, test } from "vitest";
import {
  encodeSelection,
  type PcrSelection,
  parseSelection,
  readSelection,
  sameSelection,
  selectionText,
} from "../../../../src/attestors/tpm/structures/pcr-selection.ts";
import { readWhole } from "../../../../src/attestors/tpm/structures/reader.ts";
import { cat, HASH_ID, hex, selection, u32 } from "../../../fakes/soft-tpm/structures.ts";
import { expectExact, expectMalformed } from "./malformed.ts";

const BOTH: readonly PcrSelection[] = [
  { bank: "sha1", indices: [0, 16] },
  { bank: "sha384", indices: [7, 8, 23] },
];
const BYTES = hex("00000002 0004 03 010001 000c 03 800180");

describe("a selection", () => {
  test("is encoded as the standard has it, least significant bit first", () => {
    expect(Buffer.from(encodeSelection(BOTH))).toEqual(BYTES);
    expect(Buffer.from(encodeSelection([]))).toEqual(u32(0));
    const all = { bank: "sha256", indices: Array.from({ length: 24 }, (_, index) => index) } as const;
    expect(Buffer.from(encodeSelection([all]))).toEqual(hex("00000001 000b 03 ffffff"));
    expect(Buffer.from(encodeSelection([{ bank: "sha256", indices: [] }]))).toEqual(hex("00000001 000b 03 000000"));
  });

  test("is read again, in the order of its banks", () => {
    expect(parseSelection(BYTES)).toEqual(BOTH);
    expect(parseSelection(encodeSelection(BOTH.toReversed()))).toEqual(BOTH.toReversed());
  });

  test("with bitmaps of other sizes", () => {
    expect(parseSelection(hex("00000001 000b 01 81"))).toEqual([{ bank: "sha256", indices: [0, 7] }]);
    expect(parseSelection(hex("00000001 000b 04 00000080"))).toEqual([{ bank: "sha256", indices: [31] }]);
    expect(parseSelection(hex("00000001 000b 00"))).toEqual([{ bank: "sha256", indices: [] }]);
  });

  test("is read to its last byte, and no further", () => {
    expectExact(parseSelection, BYTES, "TPML_PCR_SELECTION");
  });

  test.each([
    ["of more banks than any TPM has", cat(u32(17), Buffer.alloc(17 * 6))],
    ["of more than there are bytes", u32(0xffffffff)],
    ["with a bitmap too long", hex("00000001 000b 05 0000000000")],
  ])("%s is MALFORMED", (_name, bytes) => {
    expectMalformed(() => parseSelection(bytes), "TPML_PCR_SELECTION");
  });

  test("of another bank is refused where something of it is selected, and skipped where that is asked for", () => {
    const some = selection([
      { bank: HASH_ID.sha512, indices: [3] },
      { bank: HASH_ID.sha256, indices: [7] },
    ]);
    const nothing = selection([
      { bank: 0x0012, indices: [] },
      { bank: HASH_ID.sha256, indices: [7] },
    ]);
    const left = [{ bank: "sha256", indices: [7] }];
    expectMalformed(() => parseSelection(some), "TPML_PCR_SELECTION", "not accepted");
    expect(parseSelection(nothing)).toEqual(left);
    expect(readWhole("TPML_PCR_SELECTION", some, (reader) => readSelection(reader, "skip"))).toEqual(left);
  });
});

describe("two selections", () => {
  const sha256 = (...indices: number[]): PcrSelection[] => [{ bank: "sha256", indices }];

  test.each([
    ["themselves", BOTH, BOTH, true],
    ["nothing", [], [], true],
    ["another PCR", sha256(0), sha256(1), false],
    ["one more PCR", sha256(0), sha256(0, 1), false],
    ["a PCR beyond the last", sha256(0), sha256(0, 24), false],
    ["another bank", sha256(0), [{ bank: "sha1", indices: [0] }], false],
    ["one bank more", sha256(0), [...sha256(0), { bank: "sha1", indices: [] }], false],
    ["another order of banks", BOTH, BOTH.toReversed(), false],
    ["a bank in two parts", sha256(0, 1), [...sha256(0), ...sha256(1)], false],
  ] as readonly (readonly [string, readonly PcrSelection[], readonly PcrSelection[], boolean])[])(
    "differ, or not: %s",
    (_name, a, b, same) => {
      expect(sameSelection(a, b)).toBe(same);
      expect(sameSelection(b, a)).toBe(same);
    },
  );
});

test("for people", () => {
  expect(selectionText(BOTH)).toBe("sha1:0,16+sha384:7,8,23");
  expect(selectionText([])).toBe("none");
});
