import { describe, expect, test } from "vitest";
import type { SignedToken } from "../../src/agent/issued-jwt.ts";
import { JwtSvids, type SignJwt } from "../../src/agent/jwt-svids.ts";
import { AgentError, findAgentError } from "../../src/lib/errors.ts";
import { systemRandom } from "../../src/lib/random.ts";
import { turn } from "../../src/lib/turn.ts";
import type { AuthorizedEntry } from "../../src/spiffe/entry.ts";
import { ManualClock } from "../fakes/manual-clock.ts";
import { jwtBundle, makeKey, makeToken } from "../pki/jwt-tokens.ts";
import { authorized } from "./entries.ts";
import { RecordingLogger } from "./harness.ts";

const TTL_S = 300;
const key = makeKey("kid-1");
const other = makeKey("kid-2");
const web = authorized("web", ["unix:uid:0"]);
const never = new AbortController();

/** A server that signs, or does what the test says. */
function setUp(maxSize = 100) {
  const clock = new ManualClock();
  const log = new RecordingLogger();
  const jwts = new JwtSvids({ clock, random: { ...systemRandom, unit: () => 0.5 }, log, maxSize });
  const asked: string[] = [];
  let serial = 0;
  const issue = (entry: AuthorizedEntry, audience: readonly string[], ttl = TTL_S, signer = key): SignedToken => {
    const issuedAt = Math.floor(clock.now() / 1_000);
    const exp = issuedAt + ttl;
    const claims = { sub: entry.spiffeId, aud: audience, exp, iat: issuedAt, serial: serial++ };
    return { token: makeToken(signer, claims), issuedAt, expiresAt: exp };
  };
  const server: { sign: SignJwt } = {
    sign: async (entryId, audience) => issue({ ...web, entryId }, audience),
  };
  jwts.sign = (entryId, audience, signal) => {
    asked.push(`${entryId}:${audience.join()}`);
    return server.sign(entryId, audience, signal);
  };
  const fetch = (audience = ["db"], entry = web, signal: AbortSignal = never.signal) =>
    jwts.fetch(entry, audience, () => signal);
  return { clock, log, jwts, asked, issue, server, fetch };
}

/** The error's code and public message. */
async function failure(promise: unknown): Promise<string> {
  try {
    await promise;
    return "ok";
  } catch (error) {
    const { code, publicMessage } = findAgentError(error) ?? {};
    return `${code} ${publicMessage}`;
  }
}

const down = () => Promise.reject(new AgentError("UNAVAILABLE", "connect ECONNREFUSED 10.0.0.1:8081"));

async function start(maxSize?: number) {
  const made = setUp(maxSize);
  await made.clock.advance(1_800_000_000_000);
  return made;
}

describe("the cache", () => {
  test("a valid token is given again, at once and the same; order and spelling of audiences do not mix", async () => {
    const { fetch, asked } = await start();
    const first = await fetch(["a", "b"]);
    expect(fetch(["b", "a"])).toBe(first);
    await fetch(["ab"]);
    await fetch(["a"]);
    expect(asked).toEqual(["web:a,b", "web:ab", "web:a"]);
  });

  test("past half its life a token is still given at once, and replaced behind, once", async () => {
    const { clock, fetch, asked } = await start();
    const first = await fetch();
    await clock.advance((TTL_S / 2) * 1_000 - 1_000);
    expect(fetch()).toBe(first);
    expect(asked).toHaveLength(1);
    await clock.advance(2_000);
    expect([fetch(), fetch(), fetch()]).toEqual([first, first, first]);
    await turn();
    expect(asked).toHaveLength(2);
    const second = fetch();
    expect(second).not.toBe(first);
    expect(second).not.toBeInstanceOf(Promise);
  });

  test("an expired token is never given, also when the server is away", async () => {
    const { clock, fetch, server } = await start();
    await fetch();
    server.sign = down;
    await clock.advance(TTL_S * 1_000);
    const outcome = failure(fetch());
    await clock.advance(31_000);
    expect(await outcome).toBe("UNAVAILABLE could not fetch JWT-SVID: unavailable");
  });

  test("while the server is away a valid token is given, and the server is not asked each time", async () => {
    const { clock, fetch, server, asked, log } = await start();
    const first = await fetch();
    server.sign = down;
    await clock.advance((TTL_S / 2) * 1_000 + 1_000);
    for (let second = 0; second < 60; second++) {
      for (let i = 0; i < 10; i++) expect(fetch()).toBe(first);
      await clock.advance(1_000);
    }
    expect(asked.length).toBeLessThan(60);
    expect(log.text).toContain("Could not renew a JWT-SVID");
    server.sign = async (_entryId, audience) => ({ ...setUpToken(clock.now(), audience) });
    await clock.advance(10_000);
    await fetch();
    await clock.advance(10_000);
    expect(fetch()).not.toBe(first);
  });

  test("is bounded", async () => {
    const { fetch, jwts } = await start(10);
    for (let i = 0; i < 50; i++) await fetch([`aud-${i}`]);
    expect(jwts.size).toBe(10);
  });

  test("entries with jti bypass it, and share nothing", async () => {
    const { fetch, asked, jwts } = await start();
    const jti = authorized("web", ["unix:uid:0"], { jwtSvidIncludeJti: true });
    const tokens = await Promise.all([fetch(["db"], jti), fetch(["db"], jti), fetch(["db"], jti)]);
    expect(new Set(tokens.map(({ token }) => token)).size).toBe(3);
    expect([asked.length, jwts.size]).toEqual([3, 0]);
    await fetch(["db"]);
    await fetch(["db"], jti);
    expect(asked).toHaveLength(5);
  });

  test("a tainted or revoked key takes its tokens along; one that we do not know yet does not", async () => {
    const { fetch, jwts, asked } = await start();
    const first = await fetch();
    jwts.adoptBundle(jwtBundle("example.org", other));
    expect(fetch()).toBe(first);
    jwts.adoptBundle(jwtBundle("example.org", key, other));
    expect(fetch()).toBe(first);
    const tainted = { ...jwtBundle("example.org"), jwtAuthorities: [{ ...key.authority, tainted: true }] };
    jwts.adoptBundle(tainted);
    await fetch();
    expect(asked).toHaveLength(2);
    jwts.adoptBundle(jwtBundle("example.org", key));
    await fetch();
    jwts.adoptBundle(jwtBundle("example.org", other));
    expect(jwts.size).toBe(0);
  });

  test("a token that was on its way while its key was tainted or revoked is not kept", async () => {
    const { clock, fetch, jwts, server, issue, asked } = await start();
    jwts.adoptBundle(jwtBundle("example.org", key, other));
    const first = await fetch();
    await clock.advance((TTL_S / 2) * 1_000 + 1_000);
    let answer: (signed: SignedToken) => void = () => {};
    server.sign = () =>
      new Promise((resolve) => {
        answer = resolve;
      });
    expect(fetch()).toBe(first);
    const waiting = fetch(["api"]);
    await turn();
    const half = { ...jwtBundle("example.org", other) };
    jwts.adoptBundle({ ...half, jwtAuthorities: [{ ...key.authority, tainted: true }, ...half.jwtAuthorities] });
    expect(jwts.size).toBe(0);
    answer(issue(web, ["api"]));
    await waiting;
    jwts.adoptBundle(jwtBundle("example.org", other));
    server.sign = async (_entryId, audience) => issue(web, audience, TTL_S, other);
    expect(await fetch(["api"])).toMatchObject({ keyId: "kid-2" });
    expect(jwts.size).toBe(1);
    const calls = asked.length;
    expect(fetch(["api"])).not.toBeInstanceOf(Promise);
    expect(asked).toHaveLength(calls);
    // Back again, for example after a restored backup: as good as any.
    jwts.adoptBundle(jwtBundle("example.org", key, other));
    server.sign = async (_entryId, audience) => issue(web, audience);
    await fetch(["back"]);
    expect(jwts.size).toBe(2);
  });

  test("a ban clears it, and nothing that was on its way is given or kept", async () => {
    const { fetch, jwts, server, issue } = await start();
    await fetch();
    let answer: (signed: SignedToken) => void = () => {};
    server.sign = () =>
      new Promise((resolve) => {
        answer = resolve;
      });
    const waiting = failure(fetch(["api"]));
    await turn();
    jwts.clear();
    answer(issue(web, ["api"]));
    expect(await waiting).toBe("UNAVAILABLE could not fetch JWT-SVID: unavailable");
    await turn();
    expect(jwts.size).toBe(0);
  });
});

describe("signing", () => {
  test("equal requests share one, others do not wait for it", async () => {
    const { fetch, asked } = await start();
    const tokens = await Promise.all([fetch(["x", "y"]), fetch(["y", "x"]), fetch(["x", "y"]), fetch(["z"])]);
    expect(asked).toEqual(["web:x,y", "web:z"]);
    expect(tokens[0]).toBe(tokens[2]);
  });

  test("an entry that the server no longer has does not hold up another of the same identity", async () => {
    const { clock, fetch, server, issue, asked } = await start();
    const twin = { ...web, entryId: "twin" };
    server.sign = async (entryId, audience) => {
      if (entryId === "web") throw new AgentError("NOT_FOUND", "entry not found or not authorized");
      return issue(twin, audience);
    };
    const gone = failure(fetch());
    await turn();
    const token = await fetch(["db"], twin);
    expect(asked).toEqual(["web:db", "twin:db"]);
    // What was had for one is good for the other.
    expect(fetch(["db"])).toBe(token);
    await clock.advance(31_000);
    expect(await gone).toBe("UNAVAILABLE could not fetch JWT-SVID: not found");
    // The same behind: one that cannot be renewed by the one entry is by the other.
    await clock.advance((TTL_S / 2) * 1_000);
    expect(fetch(["db"])).toBe(token);
    await clock.advance(1_000);
    expect(fetch(["db"], twin)).toBe(token);
    await turn();
    expect(fetch(["db"], twin)).not.toBe(token);
  });

  test("one that leaves does not take it from the others; the last one does", async () => {
    const { fetch, server, issue } = await start();
    let answer: (signed: SignedToken) => void = () => {};
    let signal: AbortSignal | undefined;
    server.sign = (_entryId, _audience, given) => {
      signal = given;
      return new Promise((resolve) => {
        answer = resolve;
      });
    };
    const [a, b] = [new AbortController(), new AbortController()];
    const first = failure(fetch(["db"], web, a.signal));
    const second = fetch(["db"], web, b.signal);
    a.abort(new AgentError("CANCELLED", "gone"));
    expect(await first).toMatch(/^CANCELLED/);
    expect(signal?.aborted).toBe(false);
    answer(issue(web, ["db"]));
    expect(await second).toMatchObject({ keyId: "kid-1" });
    const third = failure(fetch(["api"], web, a.signal));
    expect(await third).toMatch(/^CANCELLED/);
    const c = new AbortController();
    const fourth = failure(fetch(["api"], web, c.signal));
    await turn();
    c.abort(new AgentError("CANCELLED", "gone"));
    await fourth;
    expect(signal?.aborted).toBe(true);
  });

  test("what may pass is tried again, for half a minute", async () => {
    const { clock, fetch, server, asked, issue } = await start();
    server.sign = down;
    const answer = fetch();
    await turn();
    await clock.advance(3_000);
    expect(asked.length).toBeGreaterThan(2);
    server.sign = async (_entryId, audience) => issue(web, audience);
    await clock.advance(5_000);
    expect(await answer).toMatchObject({ spiffeId: web.spiffeId });
    server.sign = down;
    const late = failure(fetch(["api"]));
    await turn();
    await clock.advance(29_000);
    let settled = false;
    void late.then(() => {
      settled = true;
    });
    await turn();
    expect(settled).toBe(false);
    await clock.advance(2_000);
    expect(await late).toBe("UNAVAILABLE could not fetch JWT-SVID: unavailable");
  });

  test.each(["INVALID_ARGUMENT", "UNIMPLEMENTED", "PERMISSION_DENIED", "INTERNAL"] as const)(
    "%s is told at once, as UNAVAILABLE, without the server's words",
    async (code) => {
      const { fetch, server, asked } = await start();
      server.sign = () => Promise.reject(new AgentError(code, "words of the server"));
      expect(await failure(fetch())).toMatch(/^UNAVAILABLE could not fetch JWT-SVID: (?!words)/);
      expect(asked).toHaveLength(1);
    },
  );

  test("no more than 32 at a time", async () => {
    const { fetch, server, issue } = await start(1_000);
    let running = 0;
    let most = 0;
    server.sign = async (_entryId, audience) => {
      most = Math.max(most, ++running);
      await turn();
      running--;
      return issue(web, audience);
    };
    await Promise.all(Array.from({ length: 200 }, async (_, i) => await fetch([`aud-${i}`])));
    expect(most).toBe(32);
  });

  test.each([
    ["another identity", { sub: "spiffe://example.org/other" }, {}],
    ["another audience", { aud: ["api"] }, {}],
    ["no audience", { aud: [] }, {}],
    ["times that are missing", {}, { issuedAt: 0 }],
    ["times in the wrong order", {}, { issuedAt: 2_000_000_000 }],
    ["an end in the past", { exp: 1_700_000_000 }, {}],
  ])("an answer with %s is refused", async (_what, claims, change) => {
    const { fetch, server, jwts } = await start();
    const good = { sub: web.spiffeId, aud: ["db"], exp: 1_800_000_300, iat: 1_800_000_000 };
    server.sign = async () => ({
      token: makeToken(key, { ...good, ...claims }),
      issuedAt: good.iat,
      expiresAt: good.exp,
      ...change,
    });
    expect(await failure(fetch())).toMatch(/^UNAVAILABLE could not fetch JWT-SVID: /);
    expect(jwts.size).toBe(0);
  });
});

function setUpToken(now: number, audience: readonly string[]): SignedToken {
  const issuedAt = Math.floor(now / 1_000);
  const claims = { sub: web.spiffeId, aud: audience, exp: issuedAt + TTL_S, iat: issuedAt };
  return { token: makeToken(key, claims), issuedAt, expiresAt: issuedAt + TTL_S };
}
