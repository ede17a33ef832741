/** TPM2_MakeCredential in software: a secret that only one TPM, holding one key, can read (TPM 2.0 Part 1, 24). */
import {
  constants,
  createCipheriv,
  createHmac,
  createSecretKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  publicEncrypt,
} from "node:crypto";
import { type PublicKeyNumbers, readSpki } from "../../../pki/spki.ts";
import { digestBytes, type TpmHash } from "../structures/algorithms.ts";
import { type EncryptedCredential, encodeIdObject } from "../structures/credential.ts";
import { kdfa, kdfe } from "../structures/kdf.ts";
import { concat, sized } from "../structures/writer.ts";

/** What the templates of the EK Credential Profile fix for a kind of endorsement key (B.3.3, B.3.4, B.4). */
interface EkProfile {
  readonly nameAlg: TpmHash;
  readonly aesBits: 128 | 256;
}

const RSA_2048: EkProfile = { nameAlg: "sha256", aesBits: 128 };
const P_256: EkProfile = { nameAlg: "sha256", aesBits: 128 };
const P_384: EkProfile = { nameAlg: "sha384", aesBits: 256 };
/** The label of RSA-OAEP includes its NUL. */
const LABEL = "IDENTITY";

/** Encrypts `secret` for the key of name `akName` in the TPM whose endorsement key is `ek`. */
export function makeCredential(
  ek: { readonly key: KeyObject; readonly numbers: PublicKeyNumbers },
  akName: Uint8Array,
  secret: Uint8Array,
  randomBytes: (count: number) => Uint8Array,
): EncryptedCredential {
  const { numbers } = ek;
  const profile = numbers.kind === "rsa" ? RSA_2048 : numbers.curve === "P-384" ? P_384 : P_256;
  const { seed, shared } =
    numbers.kind === "rsa" ? rsaSeed(ek.key, profile, randomBytes) : ecSeed(ek.key, numbers, profile);
  const { nameAlg, aesBits } = profile;
  // 24.4: the secret is encrypted with a key that belongs to seed and name
  const key = kdfa(nameAlg, seed, "STORAGE", akName, new Uint8Array(), aesBits);
  const cipher = createCipheriv(`aes-${aesBits}-cfb`, key, new Uint8Array(16));
  const encrypted = concat(cipher.update(sized(secret)), cipher.final());
  // 24.5: and protected together with the name
  const hmacKey = kdfa(nameAlg, seed, "INTEGRITY", new Uint8Array(), new Uint8Array(), digestBytes(nameAlg) * 8);
  const integrity = createHmac(nameAlg, createSecretKey(hmacKey)).update(encrypted).update(akName).digest();
  return { credential: encodeIdObject(integrity, encrypted), secret: sized(shared) };
}

/** Part 1, B.10.4: a random seed, encrypted with RSA-OAEP. */
function rsaSeed(
  key: KeyObject,
  { nameAlg, aesBits }: EkProfile,
  randomBytes: (count: number) => Uint8Array,
): { seed: Uint8Array; shared: Uint8Array } {
  const seed = randomBytes(aesBits / 8);
  const oaepLabel = Buffer.from(`${LABEL}\0`);
  const shared = publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: nameAlg, oaepLabel }, seed);
  return { seed, shared };
}

/** Part 1, C.6.4: one-pass Diffie-Hellman with an ephemeral key, whose point is sent. */
function ecSeed(
  key: KeyObject,
  numbers: Extract<PublicKeyNumbers, { kind: "ec" }>,
  { nameAlg }: EkProfile,
): { seed: Uint8Array; shared: Uint8Array } {
  const ephemeral = generateKeyPairSync("ec", { namedCurve: numbers.curve });
  const own = readSpki(ephemeral.publicKey.export({ type: "spki", format: "der" }));
  if (own.kind !== "ec") throw new Error("a curve made no point");
  const { x, y } = own;
  const z = diffieHellman({ privateKey: ephemeral.privateKey, publicKey: key });
  const seed = kdfe(nameAlg, z, LABEL, x, numbers.x, digestBytes(nameAlg) * 8);
  return { seed, shared: concat(sized(x), sized(y)) };
}
