/** JWK Sets as the Workload API gives them: keys of one use and nothing else (Workload API 6.1, RFC 7517 5). */
import type { KeyAuthority } from "../spiffe/bundle.ts";
import { jwkFromSpki } from "./jwk.ts";

/**
 * A document with the member `keys` only, four spaces deep, members in SPIRE's order and, as there, without `use` unless
 * one is given: the method that returns it says what the keys are for. A key ID comes once. Throws `UNTRUSTED` for a key of
 * a kind that is not accepted.
 */
export function formatJwks(authorities: readonly KeyAuthority[], use?: "wit-svid"): string {
  const keys = new Map<string, object>();
  for (const { keyId, publicKey } of authorities) {
    if (keys.has(keyId)) continue;
    const { kty, ...members } = jwkFromSpki(publicKey);
    keys.set(keyId, { ...(use !== undefined && { use }), kty, kid: keyId, ...members });
  }
  return JSON.stringify({ keys: [...keys.values()] }, undefined, 4);
}
