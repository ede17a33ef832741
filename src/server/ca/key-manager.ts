/** Where the CA's keys live, as a port: in memory, in a file, or later in hardware. */
import type { KeyType } from "../../pki/keys.ts";
import type { CertificateSigner } from "../../pki/signer.ts";

/** A key under its ID. The private half stays with the key manager. */
export interface ManagedKey {
  readonly id: string;
  readonly signer: CertificateSigner;
}

/** Makes and finds keys. */
export interface KeyManager {
  /** Makes a key under the ID, in the place of one that is there. It survives a crash once this resolves. Throws `UNAVAILABLE`. */
  generateKey(id: string, type: KeyType): Promise<ManagedKey>;
  /** The key under the ID. */
  getKey(id: string): Promise<ManagedKey | undefined>;
  /**
   * Takes all keys out of use, but keeps them where an operator finds them; resolves to the place, `undefined` where
   * they cannot outlive the process. `now` in milliseconds, for the name. Throws `UNAVAILABLE`.
   */
  setAside(now: number): Promise<string | undefined>;
}
