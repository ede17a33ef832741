/** TPMT_PUBLIC: the public area of a key (TPM 2.0 Part 2, 12.2.4), RSA and ECC keys only. */
import { coordinateBytes, encodeSpki, type PublicKeyNumbers } from "../../../pki/spki.ts";
import { algOf, curveOf, digest, hashOf, TpmAlg, type TpmHash } from "./algorithms.ts";
import { readWhole, TpmReader } from "./reader.ts";
import { concat, u16, u32 } from "./writer.ts";

/** TPMA_OBJECT bits (Part 2, 8.3). */
export const ObjectAttribute = {
  fixedTPM: 1 << 1,
  stClear: 1 << 2,
  fixedParent: 1 << 4,
  sensitiveDataOrigin: 1 << 5,
  userWithAuth: 1 << 6,
  adminWithPolicy: 1 << 7,
  noDA: 1 << 10,
  encryptedDuplication: 1 << 11,
  restricted: 1 << 16,
  decrypt: 1 << 17,
  sign: 1 << 18,
} as const;

/** A signing scheme that is part of a key. */
export interface SigningScheme {
  readonly kind: "rsassa" | "ecdsa";
  readonly hash: TpmHash;
}

/** A key's public area. */
export interface PublicArea {
  /** TPMT_PUBLIC, as it was read. */
  readonly bytes: Uint8Array;
  readonly nameAlg: TpmHash;
  /** TPMA_OBJECT. */
  readonly attributes: number;
  readonly authPolicy: Uint8Array;
  /** `undefined` for a key without a scheme of its own, or with one that Holdfast does not verify. */
  readonly scheme: SigningScheme | undefined;
  /** A storage key's cipher in bits of AES-CFB; `undefined` for none (TPM_ALG_NULL). */
  readonly symmetricBits: number | undefined;
  readonly key: PublicKeyNumbers;
}

const MAX_DIGEST = 64;
const MAX_RSA_BYTES = 512;
const MAX_COORDINATE = 66;
/** An exponent of zero stands for this one (Part 2, 12.2.3.5). */
const DEFAULT_EXPONENT = 65_537;

/** Reads a public area; no byte may follow it. Throws `MALFORMED`. */
export function parsePublicArea(bytes: Uint8Array): PublicArea {
  return readWhole("TPMT_PUBLIC", bytes, (reader) => {
    const { readUnique, ...parameters } = readParameters(reader);
    return { bytes, ...parameters, key: readUnique() };
  });
}

/** What a key and a template have at their beginning. Throws `MALFORMED`. */
export function headOf(bytes: Uint8Array): Pick<PublicArea, "nameAlg" | "attributes" | "authPolicy"> {
  return readParameters(new TpmReader("TPMT_PUBLIC", bytes));
}

/** All but the key itself: what a key and the template that it was made from have in common. Throws `MALFORMED`. */
export function parametersOf(bytes: Uint8Array): Uint8Array {
  const reader = new TpmReader("TPMT_PUBLIC", bytes);
  readParameters(reader);
  return reader.since(0);
}

function readParameters(reader: TpmReader): Omit<PublicArea, "bytes" | "key"> & {
  readonly readUnique: () => PublicKeyNumbers;
} {
  const type = reader.u16();
  if (type !== TpmAlg.RSA && type !== TpmAlg.ECC) throw reader.fail("its type is not accepted");
  const nameAlg = hashOf(reader.u16());
  if (nameAlg === undefined) throw reader.fail("its name algorithm is not accepted");
  const attributes = reader.u32();
  const authPolicy = reader.sized(MAX_DIGEST);
  const symmetricBits = readSymmetric(reader);
  const scheme = readScheme(reader, type);
  const readUnique = type === TpmAlg.RSA ? readRsa(reader) : readEcc(reader);
  return { nameAlg, attributes, authPolicy, scheme, symmetricBits, readUnique };
}

/** The Name of an object: its name algorithm and the hash of its public area (Part 1, 16). */
export function nameOf({ nameAlg, bytes }: Pick<PublicArea, "nameAlg" | "bytes">): Uint8Array {
  return concat(u16(algOf(nameAlg)), digest(nameAlg, bytes));
}

/** The key as a SubjectPublicKeyInfo, in the encoding that hashes of keys are made of. */
export function spkiOf({ key }: Pick<PublicArea, "key">): Uint8Array {
  return encodeSpki(key);
}

/** Whether all of these bits are set. */
export function has(area: Pick<PublicArea, "attributes">, ...bits: readonly number[]): boolean {
  return bits.every((bit) => (area.attributes & bit) !== 0);
}

/** TPMT_SYM_DEF_OBJECT. */
function readSymmetric(reader: TpmReader): number | undefined {
  const alg = reader.u16();
  if (alg === TpmAlg.NULL) return undefined;
  if (alg !== TpmAlg.AES) throw reader.fail("its symmetric algorithm is not accepted");
  const bits = reader.u16();
  if (reader.u16() !== TpmAlg.CFB) throw reader.fail("its cipher mode is not accepted");
  return bits;
}

/** TPMT_RSA_SCHEME or TPMT_ECC_SCHEME. */
function readScheme(reader: TpmReader, type: number): SigningScheme | undefined {
  const alg = reader.u16();
  if (alg === TpmAlg.NULL) return undefined;
  const hash = hashOf(reader.u16());
  if (hash === undefined) throw reader.fail("the hash of its scheme is not accepted");
  if (type === TpmAlg.RSA && alg === TpmAlg.RSASSA) return { kind: "rsassa", hash };
  if (type === TpmAlg.ECC && alg === TpmAlg.ECDSA) return { kind: "ecdsa", hash };
  throw reader.fail("its scheme is not accepted");
}

/** TPMS_RSA_PARMS after the scheme, then TPM2B_PUBLIC_KEY_RSA. */
function readRsa(reader: TpmReader): () => PublicKeyNumbers {
  const bits = reader.u16();
  const exponent = u32(reader.u32() || DEFAULT_EXPONENT);
  const e = exponent.subarray(exponent.findIndex((byte) => byte !== 0));
  return () => {
    const n = reader.sized(MAX_RSA_BYTES);
    // A number of another length would be another key than the one that the size speaks of.
    if (n.length * 8 !== bits || ((n[0] ?? 0) & 0x80) === 0) {
      throw reader.fail("its modulus has not the size it claims");
    }
    return { kind: "rsa", n, e };
  };
}

/** TPMS_ECC_PARMS after the scheme, then TPMS_ECC_POINT. */
function readEcc(reader: TpmReader): () => PublicKeyNumbers {
  const curve = curveOf(reader.u16());
  if (curve === undefined) throw reader.fail("its curve is not accepted");
  if (reader.u16() !== TpmAlg.NULL) throw reader.fail("a key derivation scheme is not accepted");
  const length = coordinateBytes(curve);
  const coordinate = (): Uint8Array => {
    const bytes = reader.sized(MAX_COORDINATE);
    if (bytes.length > length) throw reader.fail("a coordinate is longer than the curve's");
    // TPMs may leave leading zeros out.
    return bytes.length === length ? bytes : concat(new Uint8Array(length - bytes.length), bytes);
  };
  return () => ({ kind: "ec", curve, x: coordinate(), y: coordinate() });
}
