/** Judges an attestation key: made in a TPM, unable to leave it, and able to sign nothing but the TPM's statements. */
import type { KeyObject } from "node:crypto";
import { publicKeyFromSpki } from "../../../pki/spki.ts";
import { digest, type TpmHash } from "../structures/algorithms.ts";
import { parseAttest, TPM_GENERATED } from "../structures/attest.ts";
import { checkCreationData } from "../structures/creation-data.ts";
import { has, nameOf, ObjectAttribute, type PublicArea, parsePublicArea, spkiOf } from "../structures/public-area.ts";
import { parseSignature, verifyTpmSignature } from "../structures/signature.ts";
import type { AkParameters } from "../wire.ts";
import { must, parsed, refuse } from "./checks.ts";

/** An attestation key that a TPM made, if the credential for its name is answered. */
export interface AttestationKey {
  readonly area: PublicArea;
  readonly name: Uint8Array;
  readonly key: KeyObject;
}

/** Hashes that a signature of an attestation key may use. */
export const AK_HASHES: ReadonlySet<TpmHash> = new Set(["sha256", "sha384", "sha512"]);
/** Shortest signature that can be one: go-attestation's bound. */
const MIN_SIGNATURE = 8;
const MAX_RSA_BYTES = 512;

const { fixedTPM, fixedParent, sensitiveDataOrigin, restricted, sign, decrypt } = ObjectAttribute;

/** All checks of the key, in the order of go-attestation's `CheckAKParameters`, and those that it leaves out. */
export function verifyAk(ak: AkParameters, hashes: ReadonlySet<TpmHash> = AK_HASHES): AttestationKey {
  must("ak-encoding", ak.createSignature.length >= MIN_SIGNATURE, "the creation's signature is too short");
  const area = parsed("ak-encoding", () => parsePublicArea(ak.public));
  parsed("ak-encoding", () => checkCreationData(ak.createData));
  const attest = parsed("ak-encoding", () => parseAttest(ak.createAttestation));
  const signature = parsed("ak-encoding", () => parseSignature(ak.createSignature));
  const { attested } = attest;
  if (attested.kind !== "creation") throw refuse("ak-creation-type", "the statement is not about a creation");
  // RSA of at least 2048 bits, or an accepted curve; the key's numbers must be a key
  const key = strongKey(area);
  // Part 3, 18.3: creationHash is by the key's name algorithm
  const creationHash = digest(area.nameAlg, ak.createData);
  must("ak-creation-data", equal(attested.creationHash, creationHash), "the creation data is not what was attested");
  // Part 2, 6.2: only a TPM puts this before what a restricted key signs
  must("ak-creation-magic", attest.magic === TPM_GENERATED, "the statement was not made by a TPM");
  checkAttributes(area);
  const { scheme } = area;
  if (scheme === undefined) throw refuse("ak-scheme", "the key has no signing scheme of its own");
  must("ak-scheme", hashes.has(scheme.hash), `signatures with ${scheme.hash} are not accepted`);
  // Two keys of one name would share credentials and statements
  must("ak-scheme", hashes.has(area.nameAlg), `names by ${area.nameAlg} are not accepted`);
  // Part 1, 16: the name covers the whole public area
  const name = nameOf(area);
  must("ak-creation-name", equal(attested.objectName, name), "the statement is about another key");
  const isScheme = signature.kind === scheme.kind && signature.hash === scheme.hash;
  const isSigned = isScheme && verifyTpmSignature(signature, key, ak.createAttestation);
  must("ak-creation-signature", isSigned, "the key did not sign the statement about its creation");
  return { area, name, key };
}

/** Part 1, 25: what keeps a key in its TPM, and from signing what the TPM did not make. */
function checkAttributes(area: PublicArea): void {
  const required = { fixedTPM, fixedParent, sensitiveDataOrigin, restricted, sign };
  for (const [attribute, bit] of Object.entries(required)) {
    must("ak-attributes", has(area, bit), `the key lacks ${attribute}`);
  }
  must("ak-attributes", !has(area, decrypt), "the key decrypts");
  must("ak-attributes", area.symmetricBits === undefined, "the key has a cipher, as only a storage key does");
}

function strongKey(area: PublicArea): KeyObject {
  const { key } = area;
  must("ak-key-strength", key.kind === "ec" || key.n.length <= MAX_RSA_BYTES, "the RSA key is too long");
  return parsed("ak-key-strength", () => publicKeyFromSpki(spkiOf(area)));
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
