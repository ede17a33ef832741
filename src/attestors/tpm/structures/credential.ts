/** TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET: a secret for one key in one TPM (TPM 2.0 Part 2, 12.4.3 and 11.4.33). */
import { readWhole } from "./reader.ts";
import { concat, sized } from "./writer.ts";

/** A challenge that only the TPM with the endorsement key and the named key can open. Both with their sizes. */
export interface EncryptedCredential {
  /** TPM2B_ID_OBJECT. */
  readonly credential: Uint8Array;
  /** TPM2B_ENCRYPTED_SECRET. */
  readonly secret: Uint8Array;
}

const MAX_DIGEST = 64;
const MAX_IDENTITY = 2 + MAX_DIGEST;
const MAX_SECRET = 512;

/** TPM2B_ID_OBJECT of an integrity value and an encrypted secret. */
export function encodeIdObject(integrity: Uint8Array, encrypted: Uint8Array): Uint8Array {
  return sized(concat(sized(integrity), encrypted));
}

/** Checks that a challenge is well formed before a TPM is asked to open it. Throws `MALFORMED`. */
export function checkCredential({ credential, secret }: EncryptedCredential): void {
  readWhole("TPM2B_ID_OBJECT", credential, (reader) => {
    const length = reader.u16();
    const start = reader.at;
    const integrity = reader.sized(MAX_DIGEST);
    if (integrity.length === 0) throw reader.fail("it has no integrity value");
    const rest = length - (reader.at - start);
    if (rest < 3 || rest > MAX_IDENTITY) throw reader.fail("its encrypted identity has an impossible length");
    reader.bytes(rest);
  });
  readWhole("TPM2B_ENCRYPTED_SECRET", secret, (reader) => {
    if (reader.sized(MAX_SECRET).length === 0) throw reader.fail("it is empty");
  });
}
