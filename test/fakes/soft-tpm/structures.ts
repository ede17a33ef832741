/** TPM structures as a TPM writes them (TPM 2.0 Part 2), for tests: nothing here is taken from what is tested. */

export const u8 = (value: number): Buffer => Buffer.from([value]);
export const u16 = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff]);
export const u32 = (value: number): Buffer => Buffer.concat([u16(value >>> 16), u16(value & 0xffff)]);
export const cat = (...parts: readonly Uint8Array[]): Buffer => Buffer.concat(parts);
/** A TPM2B. */
export const tpm2b = (bytes: Uint8Array): Buffer => cat(u16(bytes.length), bytes);
export const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ""), "hex");
export const NONE: Uint8Array = new Uint8Array();

/** TPM_ALG_ID of hashes. */
export const HASH_ID = { sha1: 0x0004, sha256: 0x000b, sha384: 0x000c, sha512: 0x000d } as const;
export type Hash = keyof typeof HASH_ID;
export const HASH_SIZE: Record<Hash, number> = { sha1: 20, sha256: 32, sha384: 48, sha512: 64 };

/** TPMA_OBJECT. */
export const Bit = {
  fixedTPM: 0x2,
  stClear: 0x4,
  fixedParent: 0x10,
  sensitiveDataOrigin: 0x20,
  userWithAuth: 0x40,
  adminWithPolicy: 0x80,
  noDA: 0x400,
  encryptedDuplication: 0x800,
  restricted: 0x10000,
  decrypt: 0x20000,
  sign: 0x40000,
} as const;

/** What go-attestation and Holdfast make: restricted, signing, fixed, with an empty password. */
export const AK_ATTRIBUTES = 0x00050472;

export const RSASSA = 0x0014;
export const RSAPSS = 0x0016;
export const ECDSA = 0x0018;
export const NULL_ALG = u16(0x0010);

/** TPMT_PUBLIC, member by member. */
export interface PublicFields {
  readonly type: number;
  readonly nameAlg: number;
  readonly attributes: number;
  readonly policy: Uint8Array;
  /** TPMT_SYM_DEF_OBJECT. */
  readonly symmetric: Uint8Array;
  /** TPMT_RSA_SCHEME or TPMT_ECC_SCHEME. */
  readonly scheme: Uint8Array;
  /** Key size and exponent, or curve and key derivation. */
  readonly parameters: Uint8Array;
  readonly unique: Uint8Array;
}

export function encodePublic(f: PublicFields): Buffer {
  const head = [u16(f.type), u16(f.nameAlg), u32(f.attributes), tpm2b(f.policy)];
  return cat(...head, f.symmetric, f.scheme, f.parameters, f.unique);
}

/** TPMS_ATTEST, member by member. */
export interface AttestFields {
  readonly magic: number;
  readonly type: number;
  readonly signer: Uint8Array;
  readonly extraData: Uint8Array;
  readonly clock: bigint;
  readonly resetCount: number;
  readonly restartCount: number;
  readonly safe: number;
  readonly firmware: bigint;
  /** TPMU_ATTEST. */
  readonly attested: Uint8Array;
}

export const ATTEST: Omit<AttestFields, "type" | "attested"> = {
  magic: 0xff544347,
  signer: cat(u16(0x000b), Buffer.alloc(32, 0x51)),
  extraData: NONE,
  clock: 123_456n,
  resetCount: 7,
  restartCount: 1,
  safe: 1,
  firmware: 0x2016051100162800n,
};
export const TYPE_QUOTE = 0x8018;
export const TYPE_CREATION = 0x801a;

export function encodeAttest(f: AttestFields): Buffer {
  const clock = cat(u64(f.clock), u32(f.resetCount), u32(f.restartCount), u8(f.safe));
  return cat(u32(f.magic), u16(f.type), tpm2b(f.signer), tpm2b(f.extraData), clock, u64(f.firmware), f.attested);
}

/** TPMS_CREATION_DATA as TPM2_Create gives it without PCRs and outside information. */
export function creationData(outsideInfo: Uint8Array = NONE): Buffer {
  const parent = cat(u16(0x000b), Buffer.alloc(32, 0x70));
  return cat(u32(0), tpm2b(hash0()), u8(1), u16(0x000b), tpm2b(parent), tpm2b(parent), tpm2b(outsideInfo));
}

/** TPML_PCR_SELECTION; `size` is that of the bitmaps. */
export function selection(banks: readonly { bank: number; indices: readonly number[] }[], size = 3): Buffer {
  const parts = banks.map(({ bank, indices }) => {
    const bitmap = Buffer.alloc(size);
    for (const index of indices) bitmap.writeUInt8(bitmap.readUInt8(index >> 3) | (1 << (index & 7)), index >> 3);
    return cat(u16(bank), u8(size), bitmap);
  });
  return cat(u32(banks.length), ...parts);
}

function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}

/** SHA-256 of nothing: the digest over no PCRs. */
function hash0(): Buffer {
  return hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}
