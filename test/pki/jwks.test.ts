import { createLocalJWKSet, jwtVerify } from "jose";
import { expect, test } from "vitest";
import { formatJwks } from "../../src/pki/jwks.ts";
import { jwtBundle, makeKey, makeToken, NOW } from "./jwt-tokens.ts";

const ec = makeKey("kid-1");
const rsa = makeKey("kid-2", "rsa");

test("keys only, members in SPIRE's order, no use (API-25)", () => {
  const text = formatJwks(jwtBundle("example.org", ec, rsa).jwtAuthorities);
  const { x, y } = ec.privateKey.export({ format: "jwk" });
  const { n, e } = rsa.privateKey.export({ format: "jwk" });
  expect(text).toBe(
    JSON.stringify(
      {
        keys: [
          { kty: "EC", kid: "kid-1", crv: "P-256", x, y },
          { kty: "RSA", kid: "kid-2", n, e },
        ],
      },
      undefined,
      4,
    ),
  );
});

test("an empty set has an empty array (BDL-08)", () => {
  expect(formatJwks([])).toBe('{\n    "keys": []\n}');
});

test("a key ID comes once", () => {
  const again = makeKey("kid-1");
  const { keys } = JSON.parse(formatJwks([ec.authority, again.authority])) as { keys: unknown[] };
  expect(keys).toHaveLength(1);
});

test("jose verifies by it", async () => {
  const jwks = createLocalJWKSet(JSON.parse(formatJwks([rsa.authority, ec.authority])) as never);
  const { payload } = await jwtVerify(makeToken(ec), jwks, { audience: "db", currentDate: new Date(NOW * 1_000) });
  expect(payload.sub).toBe("spiffe://example.org/web");
});
