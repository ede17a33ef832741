import { expect, test } from "vitest";
import { type CachedJwt, JwtCache, jwtKey } from "../../src/agent/jwt-cache.ts";
import { parseSpiffeId, type SpiffeId } from "../../src/spiffe/id.ts";

const id = (name: string): SpiffeId => parseSpiffeId(`spiffe://example.org/${name}`);
const [A, B] = [id("a"), id("b")];

function jwt(spiffeId: SpiffeId, token = "token", keyId = "kid"): CachedJwt {
  return { svid: { spiffeId, token, keyId, notBefore: 0, notAfter: 1 }, refreshAt: 0 };
}

test("a key is the identity and the sorted audiences, each with its length", () => {
  expect(jwtKey(A, ["y", "x"])).toBe(jwtKey(A, ["x", "y"]));
  const different = [
    jwtKey(A, ["x", "y"]),
    jwtKey(A, ["x", "x", "y"]),
    jwtKey(A, ["xy"]),
    jwtKey(A, ["x1:y"]),
    jwtKey(A, ["x:1", "y"]),
    jwtKey(A, ["1:x1:y"]),
    jwtKey(A, ["x\0y"]),
    jwtKey(B, ["x", "y"]),
    jwtKey(id("a1"), ["x"]),
    jwtKey(A, ["1x"]),
    jwtKey(A, ["x".repeat(5_000)]),
    jwtKey(A, ["x".repeat(5_001)]),
  ];
  expect(new Set(different).size).toBe(different.length);
  expect(Math.max(...different.map(({ length }) => length))).toBeLessThanOrEqual(256);
});

test("holds a number of tokens; whoever has most loses the one that was not used for longest", () => {
  const cache = new JwtCache(4);
  cache.put("b1", jwt(B));
  for (const key of ["a1", "a2", "a3"]) cache.put(key, jwt(A));
  cache.get(A, "a1");
  cache.put("a4", jwt(A));
  expect(["a1", "a2", "a3", "a4"].filter((key) => cache.get(A, key) !== undefined)).toEqual(["a1", "a3", "a4"]);
  for (let i = 0; i < 100; i++) cache.put(`flood ${i}`, jwt(A));
  expect(cache.get(B, "b1")).toBeDefined();
  expect(cache.size).toBe(4);
});

test("replaces, and keeps no giants", () => {
  const cache = new JwtCache(2);
  cache.put("k", jwt(A, "old"));
  cache.put("k", jwt(A, "new"));
  expect(cache.get(A, "k")?.svid.token).toBe("new");
  expect(cache.size).toBe(1);
  cache.put("k", jwt(A, "x".repeat(20_000)));
  expect(cache.get(A, "k")).toBeUndefined();
  expect(cache.size).toBe(0);
});

test("drops what it is told to, and all", () => {
  const cache = new JwtCache(10);
  cache.put("k", jwt(A, "t", "bad"));
  cache.put("l", jwt(A, "t", "good"));
  cache.put("k", jwt(B, "t", "bad"));
  expect(cache.drop(({ svid }) => svid.keyId === "bad")).toBe(2);
  expect([cache.size, cache.get(B, "k")]).toEqual([1, undefined]);
  cache.clear();
  expect([cache.size, cache.get(A, "l")]).toEqual([0, undefined]);
});
