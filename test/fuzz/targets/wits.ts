/** WIT-SVIDs, signed: whether they are believed. */
import { createPublicKey, type JsonWebKeyInput } from "node:crypto";
import { mutateBytes } from "../../../scripts/fuzz/mutate-bytes.ts";
import { mutateParts, packFields, unpackFields } from "../../../scripts/fuzz/mutate-fields.ts";
import { type FuzzTarget, holds } from "../../../scripts/fuzz/target.ts";
import { validateWitSvid } from "../../../src/pki/wit-validate.ts";
import { readToken } from "../seeds/second-jwt.ts";
import { AUTHORITIES, compact, isTokenSigned, TOKEN_KEYS, tokenSignature } from "../seeds/tokens.ts";
import { OWN, OWN_BUNDLE, WORKLOAD } from "../seeds/world.ts";
import { NOW, TRUST_DOMAIN, X509_KEYS } from "../seeds/x509.ts";
import { PKI } from "./covers.ts";
import { outcomeLater } from "./refusal.ts";
import { mutateDocument } from "./tokens.ts";

const SECONDS = NOW / 1_000;
const LEEWAY = 60;
const EMPTY = new Uint8Array();
/** Sign after the change; which key, above it. */
const SIGN = 1;
const KEY_SHIFT = 1;
/** The nine that are allowed, and what their keys are (WIT-SVID 2.3, 3.2). */
const KINDS: Readonly<Record<string, string>> = {
  ...Object.fromEntries(["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"].map((name) => [name, "rsa"])),
  ES256: "prime256v1",
  ES384: "secp384r1",
  ES512: "secp521r1",
};

const jwkOf = (index: number, alg: string): object => ({
  ...TOKEN_KEYS[index]?.publicKey.export({ format: "jwk" }),
  alg,
});
const text = (value: object): Buffer => Buffer.from(JSON.stringify(value));
const HEADER = { alg: "ES256", kid: "a", typ: "wit+jwt" };
const CLAIMS = { sub: WORKLOAD, exp: SECONDS + 300, cnf: { jwk: jwkOf(1, "ES384") } };

/** Header, claims, and which key signs them. */
const SEEDS: readonly (readonly [header: Buffer, claims: Buffer, key: number])[] = [
  [text(HEADER), text(CLAIMS), 0],
  [text({ ...HEADER, alg: "ES384", kid: "b" }), text({ ...CLAIMS, nbf: SECONDS, iat: SECONDS, jti: "x" }), 1],
  [text({ ...HEADER, alg: "RS256", kid: "r" }), text({ ...CLAIMS, cnf: { jwk: jwkOf(3, "PS256") } }), 3],
];

/** What is believed of a token, but for the proof that its holder has the key. */
export const witValidate: FuzzTarget = {
  name: "wit-validate",
  about: "WIT-SVIDs, signed: validateWitSvid, with the key that they name",
  covers: PKI,
  maxBytes: 20_000,
  seeds: () =>
    SEEDS.flatMap(([header, claims, key]) =>
      [0, SIGN].map((flags) =>
        packFields({ flags: flags | (key << KEY_SHIFT), parts: [header, claims, signature(key, header, claims)] }),
      ),
    ),
  favoursSeeds: true,
  mutate: mutateParts(mutateDocument, mutateDocument, mutateBytes),
  run: async (input) => {
    const { flags, parts } = unpackFields(input, 3);
    const [header = EMPTY, claims = EMPTY, sent = EMPTY] = parts;
    const key = (flags >> KEY_SHIFT) % TOKEN_KEYS.length;
    const isResigned = (flags & SIGN) !== 0;
    const token = compact(header, claims, isResigned ? signature(key, header, claims) : sent);
    const result = await outcomeLater(
      async () => await validateWitSvid(token, { bundle: OWN_BUNDLE, now: NOW }),
      "INVALID_ARGUMENT",
    );
    if (result.verdict === "refused") return "refused";
    const { spiffeId, publicKey, algorithm } = result.value;
    const second = readToken(token, (typ) => typ === "wit+jwt");
    if (second === undefined) throw new Error("what is believed is no token to another reader");
    const { sub, exp, nbf, aud, cnf } = second.claims;
    const signer = AUTHORITIES.get(TRUST_DOMAIN)?.get(second.header.kid as string);
    holds(
      signer !== undefined && isTokenSigned(token, second.header.alg as string, signer),
      "it is signed by a key of our trust domain",
    );
    holds(sub === spiffeId && spiffeId.startsWith(`spiffe://${OWN}/`), "its subject is of our trust domain");
    holds(SECONDS - LEEWAY <= (exp as number), "it has not expired");
    holds((nbf ?? undefined) === undefined || SECONDS + LEEWAY >= (nbf as number), "it has begun");
    holds(aud === undefined, "it is for nobody in particular");
    const { jwk } = cnf as { readonly jwk: JsonWebKeyInput["key"] & { readonly alg: string } };
    const named = createPublicKey({ key: jwk, format: "jwk" });
    holds(named.export({ type: "spki", format: "der" }).equals(publicKey), "its key is the one that it names");
    holds(algorithm === jwk.alg, "and so is the algorithm");
    holds(
      KINDS[algorithm] === (named.asymmetricKeyDetails?.namedCurve ?? named.asymmetricKeyType),
      "which the key is for",
    );
    if (!isResigned)
      holds(
        SEEDS.some(([head, body]) => head.equals(header) && body.equals(claims)),
        "nothing that was not signed is believed",
      );
    return "accepted";
  },
};

function signature(key: number, header: Uint8Array, claims: Uint8Array): Uint8Array {
  const signer = TOKEN_KEYS[key] ?? X509_KEYS.rsa;
  return tokenSignature(signer, header, claims);
}
