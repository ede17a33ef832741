/** Keys that end with the process: after a restart the server makes a new CA. */
import { generateKey, type KeyType } from "../../pki/keys.ts";
import { signerFor } from "../../pki/signer.ts";
import type { KeyManager, ManagedKey } from "./key-manager.ts";

export class MemoryKeyManager implements KeyManager {
  readonly #keys = new Map<string, ManagedKey>();

  async generateKey(id: string, type: KeyType): Promise<ManagedKey> {
    const key = { id, signer: signerFor(await generateKey(type)) };
    this.#keys.set(id, key);
    return key;
  }

  async getKey(id: string): Promise<ManagedKey | undefined> {
    return this.#keys.get(id);
  }

  async setAside(): Promise<undefined> {
    this.#keys.clear();
  }
}
