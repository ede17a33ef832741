/** TPMS_ATTEST, read as a TPM writes it; and the creation data that goes with one kind of it. */
import { describe, expect, test } from "vitest";
import { parseAttest, TPM_GENERATED } from "../../../../src/attestors/tpm/structures/attest.ts";
import { checkCreationData } from "../../../../src/attestors/tpm/structures/creation-data.ts";
import {
  ATTEST,
  type AttestFields,
  cat,
  creationData,
  encodeAttest,
  HASH_ID,
  NONE,
  selection,
  TYPE_CREATION,
  TYPE_QUOTE,
  tpm2b,
} from "../../../fakes/soft-tpm/structures.ts";
import { expectExact, expectMalformed } from "./malformed.ts";

const digest = Buffer.alloc(32, 0xd1);
const QUOTE: AttestFields = {
  ...ATTEST,
  type: TYPE_QUOTE,
  extraData: Buffer.from("nonce"),
  attested: cat(selection([{ bank: HASH_ID.sha256, indices: [0, 7, 23] }]), tpm2b(digest)),
};
const name = Buffer.alloc(34, 0xaa);
const CREATION: AttestFields = { ...ATTEST, type: TYPE_CREATION, attested: cat(tpm2b(name), tpm2b(digest)) };

describe("a statement", () => {
  test("a quote: its members", () => {
    const bytes = encodeAttest(QUOTE);
    expect(parseAttest(bytes)).toEqual({
      bytes,
      magic: TPM_GENERATED,
      extraData: Buffer.from("nonce"),
      clockInfo: { clock: 123_456n, resetCount: 7, restartCount: 1, safe: true },
      firmwareVersion: 0x2016051100162800n,
      attested: { kind: "quote", selection: [{ bank: "sha256", indices: [0, 7, 23] }], pcrDigest: digest },
    });
  });

  test("a creation: its members", () => {
    const { attested } = parseAttest(encodeAttest(CREATION));
    expect(attested).toEqual({ kind: "creation", objectName: name, creationHash: digest });
  });

  test("numbers of full width", () => {
    const wide = { clock: 2n ** 64n - 1n, firmware: 2n ** 64n - 1n, resetCount: 0xffffffff, restartCount: 0xfffffffe };
    const { clockInfo, firmwareVersion } = parseAttest(encodeAttest({ ...QUOTE, ...wide, safe: 0 }));
    expect(firmwareVersion).toBe(2n ** 64n - 1n);
    expect(clockInfo).toEqual({ clock: 2n ** 64n - 1n, resetCount: 0xffffffff, restartCount: 0xfffffffe, safe: false });
  });

  test("another type is told, and left unread", () => {
    const { attested } = parseAttest(encodeAttest({ ...QUOTE, type: 0x8017, attested: Buffer.from("anything") }));
    expect(attested).toEqual({ kind: "other", type: 0x8017 });
  });

  test("magic is told, and not judged", () => {
    expect(parseAttest(encodeAttest({ ...QUOTE, magic: 1 })).magic).toBe(1);
    expect(TPM_GENERATED.toString(16)).toBe("ff544347");
  });

  test.each([
    ["a quote", QUOTE],
    ["a creation", CREATION],
  ] as const)("%s is read to its last byte, and no further", (_name, fields) => {
    expectExact(parseAttest, encodeAttest(fields), "TPMS_ATTEST");
  });

  test.each([
    ["a boolean that is none", { ...QUOTE, safe: 2 }, "boolean"],
    ["a signer too long", { ...QUOTE, signer: Buffer.alloc(67) }, "at most 66"],
    ["a nonce too long", { ...QUOTE, extraData: Buffer.alloc(67) }, "at most 66"],
    ["a digest too long", { ...CREATION, attested: cat(tpm2b(name), tpm2b(Buffer.alloc(65))) }, "at most 64"],
    ["a name too long", { ...CREATION, attested: cat(tpm2b(Buffer.alloc(67)), tpm2b(digest)) }, "at most 66"],
    [
      "a bank that is not accepted",
      { ...QUOTE, attested: cat(selection([{ bank: HASH_ID.sha512, indices: [0] }]), tpm2b(digest)) },
      "a bank that is not accepted",
    ],
  ] as const)("%s is MALFORMED", (_name, fields, detail) => {
    expectMalformed(() => parseAttest(encodeAttest(fields)), "TPMS_ATTEST", detail);
  });
});

describe("creation data", () => {
  test.each([
    ["of a key as agents make it", creationData()],
    ["with something from outside", creationData(Buffer.from("outside"))],
  ] as const)("%s is well formed, to its last byte", (_name, bytes) => {
    checkCreationData(bytes);
    expectExact(checkCreationData, bytes, "TPMS_CREATION_DATA");
  });

  test("with members too long it is MALFORMED", () => {
    expectMalformed(() => checkCreationData(creationData(Buffer.alloc(67))), "TPMS_CREATION_DATA", "at most 66");
    expectMalformed(() => checkCreationData(NONE), "TPMS_CREATION_DATA", "cut short");
  });
});
