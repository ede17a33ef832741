/** TPMT_SIGNATURE: RSASSA and ECDSA signatures of a TPM (TPM 2.0 Part 2, 11.3.4). */
import { constants, type KeyObject, verify } from "node:crypto";
import { hashOf, TpmAlg, type TpmHash } from "./algorithms.ts";
import { readWhole } from "./reader.ts";

/** A signature and how it was made. */
export type TpmSignature =
  | { readonly kind: "rsassa"; readonly hash: TpmHash; readonly value: Uint8Array }
  | { readonly kind: "ecdsa"; readonly hash: TpmHash; readonly r: Uint8Array; readonly s: Uint8Array };

const MAX_RSA_BYTES = 512;
const MAX_COORDINATE = 66;

/** Reads a signature; no byte may follow it. Throws `MALFORMED`. */
export function parseSignature(bytes: Uint8Array): TpmSignature {
  return readWhole("TPMT_SIGNATURE", bytes, (reader) => {
    const alg = reader.u16();
    if (alg !== TpmAlg.RSASSA && alg !== TpmAlg.ECDSA) throw reader.fail("its scheme is not accepted");
    const hash = hashOf(reader.u16());
    if (hash === undefined) throw reader.fail("its hash is not accepted");
    if (alg === TpmAlg.RSASSA) return { kind: "rsassa", hash, value: reader.sized(MAX_RSA_BYTES) };
    return { kind: "ecdsa", hash, r: reader.sized(MAX_COORDINATE), s: reader.sized(MAX_COORDINATE) };
  });
}

/** Whether `key` signed `message`. A scheme that is not the key's is no signature of it. */
export function verifyTpmSignature(signature: TpmSignature, key: KeyObject, message: Uint8Array): boolean {
  if (signature.kind === "rsassa") {
    if (key.asymmetricKeyType !== "rsa") return false;
    return verify(signature.hash, message, { key, padding: constants.RSA_PKCS1_PADDING }, signature.value);
  }
  if (key.asymmetricKeyType !== "ec") return false;
  const raw = rawSignature(signature, key);
  return raw !== undefined && verify(signature.hash, message, { key, dsaEncoding: "ieee-p1363" }, raw);
}

/** r and s at the curve's full length, as IEEE P1363 has them. */
function rawSignature({ r, s }: Extract<TpmSignature, { kind: "ecdsa" }>, key: KeyObject): Uint8Array | undefined {
  const length = { prime256v1: 32, secp384r1: 48, secp521r1: 66 }[key.asymmetricKeyDetails?.namedCurve ?? ""];
  if (length === undefined || r.length > length || s.length > length) return undefined;
  const raw = Buffer.alloc(2 * length);
  raw.set(r, length - r.length);
  raw.set(s, 2 * length - s.length);
  return raw;
}
