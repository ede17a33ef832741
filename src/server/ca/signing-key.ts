/** Authorities that sign tokens: a key under a key ID, for JWT-SVIDs or for WIT-SVIDs. */
import { AgentError } from "../../lib/errors.ts";
import type { Random } from "../../lib/random.ts";
import { type JwsSigner, jwsSigner } from "../../pki/jws.ts";
import type { KeyType } from "../../pki/keys.ts";
import { emptyBundle, type KeyAuthority } from "../../spiffe/bundle.ts";
import type { TrustDomain } from "../../spiffe/id.ts";
import type { AuthorityKind } from "./authority-kind.ts";
import type { Authority } from "./authority-slots.ts";
import { checkKeyToRevoke } from "./authority-steps.ts";
import { JWT_PART, WIT_PART } from "./bundle-marks.ts";
import type { KeyJournalEntry } from "./journal.ts";
import type { ManagedKey } from "./key-manager.ts";

/** A key that signs tokens. The authority ID is the `kid`. */
export interface SigningKey extends Authority {
  readonly signer: JwsSigner;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
}

/** What the kinds need. */
export interface KeyKindDeps {
  readonly random: Random;
  readonly trustDomain: TrustDomain;
  /** Milliseconds. */
  readonly ttlMs: number;
  readonly keyType: KeyType;
}

const KINDS = {
  jwt: { word: "JWT", keyId: "JWT-Signer", part: JWT_PART, member: "jwtAuthorities" },
  wit: { word: "WIT", keyId: "WIT-Signer", part: WIT_PART, member: "witAuthorities" },
} as const;

/** The kind of keys of JWT-SVIDs, or of WIT-SVIDs. */
export function keyKind(which: keyof typeof KINDS, deps: KeyKindDeps): AuthorityKind<SigningKey, KeyJournalEntry> {
  const { word, keyId, part, member } = KINDS[which];
  return {
    name: `${word} key`,
    keyType: deps.keyType,
    part,
    keyId: (slot) => `${keyId}-${slot}`,
    entries: (journal) => journal[which],
    withEntries: (journal, entries) => ({ ...journal, [which]: entries }),
    make: async (slot, key, now) =>
      signingKey({ slot, authorityId: randomKeyId(deps.random), issuedAt: now, notAfter: now + deps.ttlMs }, key),
    entryOf: ({ slot, authorityId, issuedAt, notAfter, publicKey }) => ({
      slot,
      authorityId,
      status: "prepared",
      issuedAt,
      notAfter,
      publicKey,
    }),
    bundleOf: (key) => ({ ...emptyBundle(deps.trustDomain), [member]: [published(key)] }),
    revive: (entry, key) => {
      if (Buffer.compare(entry.publicKey, key.signer.publicKeySpki) !== 0) {
        throw new AgentError("UNTRUSTED", "the key manager has another key");
      }
      return signingKey(entry, key);
    },
    isPublished: (entry, bundle) =>
      bundle[member].some(
        (key) => key.keyId === entry.authorityId && Buffer.compare(key.publicKey, entry.publicKey) === 0,
      ),
    checkRevocation: (authorityId, slots, bundle) => checkKeyToRevoke(authorityId, slots, bundle, { part, word }),
  };
}

function signingKey({ slot, authorityId, issuedAt, notAfter }: Authority, key: ManagedKey): SigningKey {
  const { signer } = key;
  return { slot, authorityId, issuedAt, notAfter, signer: jwsSigner(signer), publicKey: signer.publicKeySpki };
}

function published({ authorityId, publicKey, notAfter }: SigningKey): KeyAuthority {
  return { keyId: authorityId, publicKey, expiresAt: Math.floor(notAfter / 1000), tainted: false };
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const KEY_ID_LENGTH = 32;
/** Bytes from here on would make the first letters likelier than the last. */
const FAIR_BYTES = 256 - (256 % ALPHABET.length);

/** 32 letters and digits, 190 bits: no two keys of a bundle share one, whatever they sign (WIT-SVID 6.1). */
function randomKeyId(random: Random): string {
  let id = "";
  while (id.length < KEY_ID_LENGTH) {
    for (const byte of random.bytes(KEY_ID_LENGTH)) {
      if (byte < FAIR_BYTES && id.length < KEY_ID_LENGTH) id += ALPHABET.charAt(byte % ALPHABET.length);
    }
  }
  return id;
}
