/** JWT-SVIDs: their form, which a second reader judges too, and whether they are believed. */
import { mutateBytes } from "../../../scripts/fuzz/mutate-bytes.ts";
import { mutateParts, packFields, unpackFields } from "../../../scripts/fuzz/mutate-fields.ts";
import { jsonMutator } from "../../../scripts/fuzz/mutate-json.ts";
import { type FuzzTarget, holds, type Mutate } from "../../../scripts/fuzz/target.ts";
import { MAX_JWT_BYTES, parseJwtSvid } from "../../../src/pki/jwt-parse.ts";
import { type JwtExpectation, JwtValidator, validateJwtSvid } from "../../../src/pki/jwt-validate.ts";
import { trustDomainOf } from "../../../src/spiffe/id.ts";
import { readToken, type SecondJwt } from "../seeds/second-jwt.ts";
import {
  AUDIENCE,
  AUTHORITIES,
  BUNDLES,
  compact,
  isTokenSigned,
  TOKEN_KEYS,
  TOKEN_SEEDS,
  tokenSignature,
} from "../seeds/tokens.ts";
import { NOW, WORKLOAD_ID } from "../seeds/x509.ts";
import { PKI } from "./covers.ts";
import { equal } from "./plain.ts";
import { outcome, outcomeLater } from "./refusal.ts";

const NAMES = `alg kid typ crit cty jwk jku x5u x5c b64 sub aud exp nbf iat iss jti __proto__ constructor a`.split(" ");
const SECONDS = NOW / 1_000;
const TEXTS = `none HS256 ES256 ES384 ES512 RS256 RS512 PS256 EdDSA JWT JOSE JWE a b r spiffe:// spiffe://example.org
  spiffe://other.test/a/b`.split(/\s+/);
const TIMES = [-61, -60, -59, 0.5, 59, 60, 61].map((seconds) => SECONDS + seconds);
const VALUES: readonly unknown[] = [...TEXTS, ...TIMES, AUDIENCE, [AUDIENCE], [], ["x"], WORKLOAD_ID, NOW, null];
/** JSON of headers and claims. */
export const mutateDocument = jsonMutator(NAMES, VALUES);
const EMPTY = new Uint8Array();
/** Sign after the change; which key, above it. */
const SIGN = 1;
const KEY_SHIFT = 1;
const LEEWAY = 60;

/** The text of a token, changed in its parts and as a whole. */
const mutateToken: Mutate = (parent, other, random, words) => {
  const parts = Buffer.from(parent).toString("latin1").split(".");
  if (parts.length !== 3 || random.oneIn(6)) return mutateBytes(parent, other, random, words);
  const at = random.oneIn(8) ? 2 : random.below(2);
  const theirs = Buffer.from(other).toString("latin1").split(".")[at] ?? "";
  const [mine, others] = [parts[at] ?? "", theirs].map((part) => Buffer.from(part, "base64url")) as [Buffer, Buffer];
  const changed = (at === 2 ? mutateBytes : mutateDocument)(mine, others, random, words);
  parts[at] = Buffer.from(changed).toString("base64url");
  return Buffer.from(parts.join("."));
};

/** The form of a token. */
export const jwt: FuzzTarget = {
  name: "jwt",
  about: "JWT-SVIDs: parseJwtSvid, parseStrictJson, decodeBase64, parseSpiffeId",
  covers: PKI,
  maxBytes: MAX_JWT_BYTES + 1,
  seeds: () =>
    TOKEN_SEEDS.map(({ header, claims, signature }) => Buffer.from(compact(header, claims, signature.slice(0, 8)))),
  mutate: mutateToken,
  run: (input) => {
    const token = Buffer.from(input).toString();
    const read = outcome(() => parseJwtSvid(token), "INVALID_ARGUMENT");
    const second = readToken(token);
    holds((read.verdict === "accepted") === (second !== undefined), "two readers agree whether it is a token");
    if (read.verdict === "refused" || second === undefined) return "refused";
    const { value } = read;
    const { header, claims } = second;
    holds(value.algorithm === header.alg && value.keyId === header.kid, "they agree about the header");
    holds(equal(value.claims, claims), "they agree about the claims");
    holds(value.subject === claims.sub && value.expiresAt === claims.exp, "subject and end are those of the claims");
    holds(value.notBefore === (claims.nbf ?? undefined), "so is the beginning");
    holds(value.issuedAt === (claims.iat ?? undefined), "so is the time of issue");
    holds(equal(value.audience, audienceOf(second)), "so is the audience");
    return "accepted";
  },
};

const validator = new JwtValidator();
const EXPECTED: JwtExpectation = { audience: AUDIENCE, now: NOW, bundleOf: (domain) => BUNDLES.get(domain) };

/** What is believed. */
export const jwtValidate: FuzzTarget = {
  name: "jwt-validate",
  about: "JWT-SVIDs, signed: validateJwtSvid, JwtValidator",
  covers: PKI,
  maxBytes: 20_000,
  seeds: () =>
    TOKEN_SEEDS.flatMap(({ header, claims, signature, key }) =>
      [0, SIGN].map((flags) => packFields({ flags: flags | (key << KEY_SHIFT), parts: [header, claims, signature] })),
    ),
  favoursSeeds: true,
  mutate: mutateParts(mutateDocument, mutateDocument, mutateBytes),
  run: async (input) => {
    const { flags, parts } = unpackFields(input, 3);
    const [header = EMPTY, claims = EMPTY, sent = EMPTY] = parts;
    const signer = TOKEN_KEYS[(flags >> KEY_SHIFT) % TOKEN_KEYS.length];
    holds(signer !== undefined, "there are keys");
    const isResigned = (flags & SIGN) !== 0;
    const token = compact(header, claims, isResigned ? tokenSignature(signer, header, claims) : sent);
    const result = await outcomeLater(async () => await validateJwtSvid(token, EXPECTED), "INVALID_ARGUMENT");
    const second = readToken(token);
    const isGood = second !== undefined && isBelievable(token, second);
    holds((result.verdict === "accepted") === isGood, "what is believed is what the standard wants to be believed");
    for (const time of ["first", "again"]) {
      const remembered = await outcomeLater(
        async () => await validator.validate(token, validator.parse(token), EXPECTED),
        "INVALID_ARGUMENT",
      );
      holds(remembered.verdict === result.verdict, `one that remembers says the same, ${time}`);
    }
    if (result.verdict === "refused") return "refused";
    holds(equal(result.value.claims, second?.claims), "the claims are those that were signed");
    if (!isResigned)
      holds(
        TOKEN_SEEDS.some((one) => compact(one.header, one.claims, EMPTY) === compact(header, claims, EMPTY)),
        "nothing that was not signed is believed",
      );
    else holds(signer !== TOKEN_KEYS[4], "nobody's key signs nothing");
    return "accepted";
  },
};

/** JWT-SVID 4, Workload API 6.3, RFC 8725 3.1: once more, from the token and what the tests hold. */
function isBelievable(token: string, second: SecondJwt): boolean {
  const { header, claims } = second;
  const { sub, exp, nbf, iat } = claims as Record<string, unknown>;
  const key = AUTHORITIES.get(trustDomainOf(sub as never))?.get(header.kid as string);
  if (key === undefined || !isTokenSigned(token, header.alg as string, key)) return false;
  const isPast = (time: unknown): boolean => (time ?? undefined) === undefined || SECONDS + LEEWAY >= (time as number);
  const isNow = SECONDS - LEEWAY <= (exp as number) && isPast(nbf) && isPast(iat);
  return isNow && audienceOf(second).includes(AUDIENCE);
}

function audienceOf({ claims }: SecondJwt): readonly unknown[] {
  const aud = claims.aud ?? [];
  return Array.isArray(aud) ? aud : [aud];
}
