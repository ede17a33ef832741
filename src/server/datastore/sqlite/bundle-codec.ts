/** A bundle's authorities as the text of one column. */
import { z } from "zod";
import { AgentError } from "../../../lib/errors.ts";
import type { KeyAuthority, TrustBundle } from "../../../spiffe/bundle.ts";
import type { Der } from "../../../spiffe/svid.ts";

/** The part of a bundle that the column holds. */
export type Authorities = Pick<TrustBundle, "x509Authorities" | "jwtAuthorities" | "witAuthorities">;

const key = z.strictObject({
  id: z.string(),
  spki: z.base64(),
  expiresAt: z.int().nonnegative(),
  tainted: z.boolean(),
});
const schema = z.strictObject({
  x509: z.array(z.strictObject({ der: z.base64(), tainted: z.boolean() })),
  jwt: z.array(key),
  wit: z.array(key),
});

/** Writes the authorities. Equal ones give equal text. */
export function encodeAuthorities(bundle: Authorities): string {
  const stored: z.infer<typeof schema> = {
    x509: bundle.x509Authorities.map((authority) => ({
      der: base64(authority.certificate),
      tainted: authority.tainted,
    })),
    jwt: bundle.jwtAuthorities.map(encodeKey),
    wit: bundle.witAuthorities.map(encodeKey),
  };
  return JSON.stringify(stored);
}

/** Reads the authorities of a trust domain's bundle. Throws `DATA_LOSS`. */
export function decodeAuthorities(text: string, trustDomain: string): Authorities {
  try {
    const stored = schema.parse(JSON.parse(text));
    return {
      x509Authorities: stored.x509.map((row) => ({ certificate: bytes(row.der) as Der, tainted: row.tainted })),
      jwtAuthorities: stored.jwt.map(decodeKey),
      witAuthorities: stored.wit.map(decodeKey),
    };
  } catch (error) {
    throw new AgentError("DATA_LOSS", `the stored bundle of ${trustDomain} is damaged`, { cause: error });
  }
}

function encodeKey(authority: KeyAuthority): z.infer<typeof key> {
  return {
    id: authority.keyId,
    spki: base64(authority.publicKey),
    expiresAt: authority.expiresAt,
    tainted: authority.tainted,
  };
}

function decodeKey(row: z.infer<typeof key>): KeyAuthority {
  return { keyId: row.id, publicKey: bytes(row.spki), expiresAt: row.expiresAt, tainted: row.tainted };
}

function base64(data: Uint8Array): string {
  return Buffer.from(data).toString("base64");
}

function bytes(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "base64"));
}
