/** What must be true of a proof that was believed, read from its bytes by hand. */
import { constants, verify } from "node:crypto";
import { holds } from "../../../scripts/fuzz/target.ts";
import type { SigningKey } from "../seeds/keys.ts";
import type { AkProof, QuoteCase, SentPcr } from "../seeds/proofs.ts";
import { AK_ATTRIBUTES, ALG, hash, join, nameOfArea, sized, u16 } from "../seeds/structures.ts";
import { same } from "./refusal.ts";

const HASHES: Readonly<Record<number, string>> = {
  [ALG.sha256]: "sha256",
  [ALG.sha384]: "sha384",
  [ALG.sha512]: "sha512",
};
/** userWithAuth may be set or not. */
const REQUIRED = AK_ATTRIBUTES & ~(1 << 6);
const DECRYPT = 1 << 17;
const DIGEST_BYTES = { sha1: 20, sha256: 32, sha384: 48 } as const;

/** A believed attestation key: restricted to signing, named and created as the statement says, which it signed. */
export function checkAk({ area, data, attest, signature }: Omit<AkProof, "key">, key: SigningKey): void {
  const attributes = Buffer.from(area).readUInt32BE(4);
  holds((attributes & REQUIRED) === REQUIRED, "a believed key has every attribute of an attestation key");
  holds((attributes & DECRYPT) === 0, "a believed key does not decrypt");
  const afterPolicy = 10 + Buffer.from(area).readUInt16BE(8);
  holds(Buffer.from(area).readUInt16BE(afterPolicy) === ALG.null, "a believed key has no cipher");
  const scheme = area.subarray(afterPolicy + 2, afterPolicy + 6);
  holds(same(scheme, signature.subarray(0, 4)), "the signature is by the key's scheme");
  const nameAlg = Buffer.from(area).readUInt16BE(2);
  holds(HASHES[nameAlg] !== undefined, "the name of a believed key is by SHA-2");
  holds(
    same(attest.subarray(0, 6), Buffer.from("ff544347801a", "hex")),
    "a believed statement is a TPM's about a creation",
  );
  const stated = join(sized(nameOfArea(area)), sized(hash(nameAlg, data)));
  holds(
    same(attest.subarray(attest.length - stated.length), stated),
    "a believed statement is about this key and this creation",
  );
  holds(isSigned(key, attest, signature), "a believed statement is signed by the key that it is about");
  const number = key.kind === "rsassa" ? key.n : join(sized(key.x), sized(key.y));
  holds(Buffer.from(area).includes(Buffer.from(number)), "the key that signed is the key of the public area");
}

/** A believed quote: this question, these PCRs, these values and no others. */
export function checkQuote(
  asked: QuoteCase,
  quoted: Uint8Array,
  signature: Uint8Array,
  sent: readonly SentPcr[],
): void {
  const bytes = Buffer.from(quoted);
  holds(bytes.toString("hex", 0, 6) === "ff5443478018", "a believed statement is a TPM's quote");
  const atExtra = 8 + bytes.readUInt16BE(6);
  const extra = sized(asked.qualifyingData);
  holds(same(bytes.subarray(atExtra, atExtra + extra.length), extra), "a believed quote answers what was asked");
  const values = new Map(sent.map(({ bank, index, value }) => [`${bank}:${index}`, value]));
  const wanted = asked.selected.flatMap(({ bank, indices }) => indices.map((index) => ({ bank, index })));
  const inOrder = wanted.map(({ bank, index }) => {
    const value = values.get(`${bank}:${index}`);
    holds(value?.length === DIGEST_BYTES[bank], "a believed quote has every value that was asked for");
    return value;
  });
  holds(values.size === wanted.length, "a believed quote has no value that was not asked for");
  const digest = sized(hash(ALG[asked.key.hash], join(...inOrder)));
  holds(same(bytes.subarray(bytes.length - digest.length), digest), "the values are those that were quoted");
  const selected = selectedBits(bytes.subarray(atExtra + extra.length + 25, bytes.length - digest.length));
  holds(
    selected === wanted.map(({ bank, index }) => `${ALG[bank]}:${index}`).join(),
    "a believed quote is over the PCRs that were asked for",
  );
  holds(isSigned(asked.key, quoted, signature), "a believed quote is signed by the key that was asked");
}

/** Every bit that is set, of whatever bank. */
function selectedBits(list: Buffer): string {
  const set: string[] = [];
  for (let at = 4; at < list.length; at += 3 + list.readUInt8(at + 2)) {
    for (const [byte, bits] of list.subarray(at + 3, at + 3 + list.readUInt8(at + 2)).entries())
      for (let bit = 0; bit < 8; bit++) if ((bits >> bit) & 1) set.push(`${list.readUInt16BE(at)}:${byte * 8 + bit}`);
  }
  return set.join();
}

/** By OpenSSL, with the signature in its own form. */
function isSigned(key: SigningKey, message: Uint8Array, signature: Uint8Array): boolean {
  const alg = Buffer.from(signature).readUInt16BE(2);
  const name = HASHES[alg] ?? "";
  holds(name !== "", "a believed signature is by SHA-2");
  const first = signature.subarray(6, 6 + Buffer.from(signature).readUInt16BE(4));
  if (key.kind === "rsassa") {
    holds(same(signature, join(u16(0x0014), u16(alg), sized(first))), "an RSA signature is one number");
    return verify(name, message, { key: key.publicKey, padding: constants.RSA_PKCS1_PADDING }, first);
  }
  const second = signature.subarray(8 + first.length);
  const full = (number: Uint8Array): Buffer => join(Buffer.alloc(Math.max(0, key.x.length - number.length)), number);
  return verify(name, message, { key: key.publicKey, dsaEncoding: "ieee-p1363" }, join(full(first), full(second)));
}
