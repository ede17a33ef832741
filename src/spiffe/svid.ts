/** SVIDs: the documents that carry a SPIFFE ID. */
import type { KeyObject } from "node:crypto";
import type { Brand } from "../lib/brand.ts";
import type { SpiffeId } from "./id.ts";

/** One DER-encoded certificate. */
export type Der = Brand<Uint8Array, "Der">;

/** A token that its holder shows to others. */
export interface JwtSvid {
  readonly spiffeId: SpiffeId;
  /** Compact serialization; whoever has it has the identity. */
  readonly token: string;
  /** Which key of the bundle signed it. */
  readonly keyId: string;
  /** Milliseconds since the Unix epoch. */
  readonly notBefore: number;
  /** Milliseconds since the Unix epoch. */
  readonly notAfter: number;
}

/** A token of which its holder proves, where it shows it, that it has the key that the token names. */
export interface WitSvid {
  readonly spiffeId: SpiffeId;
  /** Compact serialization; worth nothing without the key. */
  readonly token: string;
  /** Which key of the bundle signed it. */
  readonly keyId: string;
  readonly privateKey: KeyObject;
  /** The one algorithm of JWS that the key is for, as the token says. */
  readonly algorithm: string;
  /** Milliseconds since the Unix epoch. */
  readonly notBefore: number;
  /** Milliseconds since the Unix epoch. */
  readonly notAfter: number;
}

/** A leaf certificate with its chain and private key. */
export interface X509Svid {
  readonly spiffeId: SpiffeId;
  /** Leaf first, then intermediates; the root is not in it. */
  readonly chain: readonly Der[];
  readonly privateKey: KeyObject;
  /** Milliseconds since the Unix epoch. */
  readonly notBefore: number;
  /** Milliseconds since the Unix epoch. */
  readonly notAfter: number;
}
