/** The TPM's structures, written here a second time: an encoder of the code under test would repeat its mistakes. */
import { createHash } from "node:crypto";
import type { SigningKey } from "./keys.ts";

/** PCRs of one bank, by the identifier of its algorithm. */
export interface Selected {
  readonly alg: number;
  readonly indices: readonly number[];
  /** Length of the bitmap. Default: 3. */
  readonly bytes?: number;
}

export const ALG = { sha1: 0x0004, sha256: 0x000b, sha384: 0x000c, sha512: 0x000d, null: 0x0010 } as const;
/** fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, restricted, sign. */
export const AK_ATTRIBUTES = 0x0005_0072;

export function u8(value: number): Buffer {
  return Buffer.of(value);
}

export function u16(value: number): Buffer {
  return Buffer.of(value >> 8, value);
}

export function u32(value: number): Buffer {
  return Buffer.of(value >>> 24, value >>> 16, value >>> 8, value);
}

/** A TPM2B. */
export function sized(bytes: Uint8Array): Buffer {
  return Buffer.concat([u16(bytes.length), bytes]);
}

export function join(...parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat(parts);
}

/** What a public area may have that is not of its key. */
export interface AreaOptions {
  readonly nameAlg?: number;
  readonly attributes?: number;
  readonly policy?: Uint8Array;
  /** An AES key in bits, as storage keys have. */
  readonly aes?: number;
  readonly noScheme?: boolean;
  readonly exponent?: number;
}

/** TPMT_PUBLIC of a key. */
export function publicArea(key: SigningKey, options: AreaOptions = {}): Buffer {
  const {
    nameAlg = ALG.sha256,
    attributes = AK_ATTRIBUTES,
    policy = new Uint8Array(),
    aes,
    noScheme,
    exponent = 0,
  } = options;
  const isRsa = key.kind === "rsassa";
  const symmetric = aes === undefined ? u16(ALG.null) : join(u16(0x0006), u16(aes), u16(0x0043));
  const scheme = noScheme === true ? u16(ALG.null) : join(u16(isRsa ? 0x0014 : 0x0018), u16(ALG[key.hash]));
  const rest = isRsa
    ? join(u16(key.n.length * 8), u32(exponent), sized(key.n))
    : join(u16(key.x.length === 32 ? 3 : 4), u16(ALG.null), sized(key.x), sized(key.y));
  return join(u16(isRsa ? 0x0001 : 0x0023), u16(nameAlg), u32(attributes), sized(policy), symmetric, scheme, rest);
}

/** The Name of a public area whose name algorithm is SHA-2 or SHA-1. */
export function nameOfArea(area: Uint8Array): Buffer {
  const alg = ((area[2] ?? 0) << 8) | (area[3] ?? 0);
  return join(u16(alg), hash(alg, area));
}

/** A digest by the TPM's identifier of the algorithm; empty for one that it does not know. */
export function hash(alg: number, bytes: Uint8Array): Buffer {
  const name = Object.entries(ALG).find(([, id]) => id === alg)?.[0];
  return name === undefined || name === "null" ? Buffer.alloc(0) : createHash(name).update(bytes).digest();
}

/** TPML_PCR_SELECTION. */
export function selection(...selected: readonly Selected[]): Buffer {
  const one = ({ alg, indices, bytes = 3 }: Selected): Buffer => {
    const bitmap = Buffer.alloc(bytes);
    for (const index of indices) bitmap[index >> 3] = (bitmap[index >> 3] ?? 0) | (1 << (index & 7));
    return join(u16(alg), u8(bytes), bitmap);
  };
  return join(u32(selected.length), ...selected.map(one));
}

/** TPMS_CREATION_DATA. */
export function creationData(outsideInfo: Uint8Array = new Uint8Array()): Buffer {
  const name = join(u16(ALG.sha256), Buffer.alloc(32, 7));
  return join(
    selection(),
    sized(hash(ALG.sha256, Buffer.alloc(0))),
    u8(1),
    u16(ALG.sha256),
    sized(name),
    sized(name),
    sized(outsideInfo),
  );
}

/** TPMS_ATTEST of a kind, about what `attested` says. */
function attest(type: number, extraData: Uint8Array, attested: Uint8Array): Buffer {
  const signer = join(u16(ALG.sha256), Buffer.alloc(32, 9));
  const clock = join(Buffer.from("0000000012345678", "hex"), u32(5), u32(2), u8(1));
  return join(
    u32(0xff54_4347),
    u16(type),
    sized(signer),
    sized(extraData),
    clock,
    Buffer.from("2019102300163636", "hex"),
    attested,
  );
}

/** TPMS_ATTEST that certifies a creation. */
export function creationAttest(name: Uint8Array, creationHash: Uint8Array): Buffer {
  return attest(0x801a, new Uint8Array(), join(sized(name), sized(creationHash)));
}

/** TPMS_ATTEST of a quote. */
export function quoteAttest(extraData: Uint8Array, selected: Uint8Array, pcrDigest: Uint8Array): Buffer {
  return attest(0x8018, extraData, join(selected, sized(pcrDigest)));
}

/** TPMT_SIGNATURE by a key. */
export function signature(key: SigningKey, message: Uint8Array): Buffer {
  return join(u16(key.kind === "rsassa" ? 0x0014 : 0x0018), u16(ALG[key.hash]), ...key.sign(message).map(sized));
}

/** TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET with contents that nobody can open. */
export function credential(
  digestBytes: number,
  secretBytes: number,
): { readonly idObject: Buffer; readonly secret: Buffer } {
  const encrypted = Buffer.alloc(34, 3);
  return {
    idObject: sized(join(sized(Buffer.alloc(digestBytes, 1)), encrypted)),
    secret: sized(Buffer.alloc(secretBytes, 2)),
  };
}
