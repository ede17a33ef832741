/** Tokens for the time without a server: when they are made, given and let go. */
import { describe, expect, onTestFinished, test } from "vitest";
import { AgentHealth } from "../../src/agent/health.ts";
import type { SignedToken } from "../../src/agent/issued-jwt.ts";
import { JwtReserve } from "../../src/agent/jwt-reserve.ts";
import { ReserveMaker, type SignReserve } from "../../src/agent/jwt-reserve-maker.ts";
import { JwtSvids, type SignJwt } from "../../src/agent/jwt-svids.ts";
import { AgentError, type ErrorCode, errorCode } from "../../src/lib/errors.ts";
import { systemRandom } from "../../src/lib/random.ts";
import { turn } from "../../src/lib/turn.ts";
import type { AuthorizedEntry } from "../../src/spiffe/entry.ts";
import type { JwtSvid } from "../../src/spiffe/svid.ts";
import { ManualClock } from "../fakes/manual-clock.ts";
import { jwtBundle, makeKey, makeToken } from "../pki/jwt-tokens.ts";
import { authorized } from "./entries.ts";
import { RecordingLogger } from "./harness.ts";

const TTL_S = 300;
const LIFE_S = 9_000;
const START = 1_800_000_000_000;
const key = makeKey("kid-1");
const other = makeKey("kid-2");
const web = authorized("web", ["unix:uid:0"]);
const never = new AbortController();

/** An agent with one entry and a server that signs, or does what the test says. */
async function setUp() {
  const clock = new ManualClock();
  await clock.advance(START);
  const log = new RecordingLogger();
  const random = { ...systemRandom, unit: () => 0.5 };
  const health = new AgentHealth(clock, log);
  const entries = new Map<string, AuthorizedEntry>([["web", web]]);
  const entry = (entryId: string) => entries.get(entryId);
  const reserve = new JwtReserve({ clock, log, health, entry });
  const jwts = new JwtSvids({ clock, random, log, maxSize: 100, reserve });
  const generation = { value: 1 };
  const made: string[] = [];
  let signer = key;
  const issue = (audience: readonly string[], ttl: number): SignedToken => {
    const iat = Math.floor(clock.now() / 1_000);
    const exp = iat + ttl;
    return { token: makeToken(signer, { sub: web.spiffeId, aud: audience, exp, iat }), issuedAt: iat, expiresAt: exp };
  };
  const server: { sign: SignJwt; reserve: SignReserve } = {
    sign: async (_entryId, audience) => issue(audience, TTL_S),
    reserve: async (_entryId, audience) => ({ signed: issue(audience, LIFE_S), maxAudiences: 2 }),
  };
  const call = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      const result = await work();
      health.reached(true);
      return result;
    } catch (error) {
      if (errorCode(error) === "UNAVAILABLE") health.lost();
      throw error;
    }
  };
  jwts.sign = (...args) => call(() => server.sign(...args));
  const maker = new ReserveMaker({
    clock,
    random,
    log,
    health,
    entry,
    reserve,
    generation,
    sign: (entryId, audience, signal) => {
      made.push(audience.join());
      return call(() => server.reserve(entryId, audience, signal));
    },
  });
  const running = new AbortController();
  const ran = maker.run(running.signal).catch(() => {});
  onTestFinished(async () => {
    running.abort();
    await ran;
  });
  /** Time goes by, and whoever waited for it gets on. */
  const pass = async (ms: number, step = 1_000): Promise<void> => {
    for (let left = ms; left > 0; left -= step) {
      await clock.advance(Math.min(step, left));
      await turn();
    }
  };
  const fail = (code: ErrorCode) => () => Promise.reject(new AgentError(code, "no"));
  /** The server is gone, or answers so. */
  const down = (): void => {
    server.sign = fail("UNAVAILABLE");
    server.reserve = fail("UNAVAILABLE");
    health.lost();
  };
  const fetch = (audience = ["db"], of = web) => jwts.fetch(of, audience, () => never.signal);
  const lifeOf = async (fetched: JwtSvid | Promise<JwtSvid>): Promise<number> => {
    const { notBefore, notAfter } = await fetched;
    return (notAfter - notBefore) / 1_000;
  };
  /** A token was fetched, and is held in reserve. */
  const hold = async (audience = ["db"]): Promise<void> => {
    await fetch(audience);
    await pass(1_000);
  };
  const signWith = (next: typeof key): void => {
    signer = next;
  };
  return {
    clock,
    log,
    health,
    entries,
    reserve,
    jwts,
    generation,
    made,
    server,
    fail,
    pass,
    down,
    fetch,
    lifeOf,
    hold,
    signWith,
  };
}

describe("is given", () => {
  test("only while the server cannot be reached and the token at hand has expired", async () => {
    const { fetch, lifeOf, hold, down, pass, reserve, log } = await setUp();
    await hold();
    expect(reserve.size).toBe(1);
    expect(await lifeOf(fetch())).toBe(TTL_S);
    await pass(TTL_S * 1_000, 10_000);
    expect(await lifeOf(fetch())).toBe(TTL_S);
    down();
    await pass(10_000);
    expect(await lifeOf(fetch())).toBe(TTL_S);
    await pass(TTL_S * 1_000, 10_000);
    const given = fetch();
    expect(given).not.toBeInstanceOf(Promise);
    expect(await lifeOf(given)).toBe(LIFE_S);
    await fetch();
    expect(log.lines.filter(({ message }) => message.includes("held in reserve are given"))).toHaveLength(1);
  });

  test("when the call that was to bring a new one is lost, to whoever waits for it", async () => {
    const { clock, fetch, lifeOf, hold, server, fail } = await setUp();
    await hold();
    await clock.advance(TTL_S * 1_000);
    server.sign = fail("UNAVAILABLE");
    expect(await lifeOf(fetch())).toBe(LIFE_S);
  });

  test("when the server says nothing for five seconds", async () => {
    const { clock, fetch, lifeOf, hold, pass, server } = await setUp();
    await hold();
    await clock.advance(TTL_S * 1_000);
    let signal: AbortSignal | undefined;
    server.sign = (_entryId, _audience, given) => {
      signal = given;
      return new Promise(() => {});
    };
    const waiting = lifeOf(fetch());
    await pass(4_900, 100);
    expect(signal?.aborted).toBe(false);
    await pass(200, 100);
    expect(await waiting).toBe(LIFE_S);
    expect(signal?.aborted).toBe(true);
  });

  test.each<ErrorCode>(["PERMISSION_DENIED", "INTERNAL", "NOT_FOUND"])("never on the answer %s", async (code) => {
    const { clock, fetch, hold, server, fail, pass } = await setUp();
    await hold();
    await clock.advance(TTL_S * 1_000);
    server.sign = fail(code);
    const outcome = Promise.resolve(fetch()).then(() => "given", errorCode);
    // Just before the server would count as silent.
    await pass(4_500, 500);
    server.sign = fail("PERMISSION_DENIED");
    await pass(5_000, 500);
    expect(await outcome).toBe("UNAVAILABLE");
  });

  test("never after it has expired, and none once the server is back", async () => {
    const { fetch, lifeOf, hold, down, pass, server, health, fail } = await setUp();
    const { sign } = server;
    await hold();
    down();
    await pass(TTL_S * 1_000, 10_000);
    expect(await lifeOf(fetch())).toBe(LIFE_S);
    server.sign = sign;
    health.reached(true);
    await pass(10_000);
    expect(await lifeOf(fetch())).toBe(TTL_S);
    server.sign = fail("UNAVAILABLE");
    health.lost();
    await pass(LIFE_S * 1_000, 60_000);
    const outcome = Promise.resolve(fetch()).then(() => "given", errorCode);
    await pass(31_000);
    expect(await outcome).toBe("UNAVAILABLE");
  });

  test("to no workload of another entry, nor for other audiences", async () => {
    const { clock, fetch, hold, down, pass, lifeOf } = await setUp();
    await hold(["a", "b"]);
    down();
    await clock.advance(TTL_S * 1_000);
    expect(await lifeOf(fetch(["b", "a"]))).toBe(LIFE_S);
    for (const ask of [() => fetch(["a"]), () => fetch(["a", "b"], { ...web, entryId: "web-2" })]) {
      const told = Promise.resolve(ask()).then(() => "given", errorCode);
      await pass(31_000);
      expect(await told).toBe("UNAVAILABLE");
    }
  });
});

describe("is made", () => {
  test("behind, for what was asked for, and anew when less than 1.1 times the budget is left", async () => {
    const { hold, made, pass, reserve } = await setUp();
    await pass(5_000);
    expect(made).toEqual([]);
    await hold();
    await hold();
    expect(made).toEqual(["db"]);
    await pass((LIFE_S - 1.1 * 7_200 - 10) * 1_000, 10_000);
    expect(made).toHaveLength(1);
    await pass(7_200 * 0.05 * 1_000 + 70_000, 10_000);
    expect(made).toHaveLength(2);
    expect(reserve.size).toBe(1);
  });

  test("for no more audiences than the server says, and no entry with IDs of their own", async () => {
    const { hold, reserve, made, entries, fetch } = await setUp();
    for (const audience of ["a", "b", "c", "d"]) await hold([audience]);
    expect(reserve.size).toBe(2);
    expect(made).toEqual(["a", "b"]);
    const jti = authorized("jti", ["unix:uid:0"], { spiffeId: web.spiffeId, jwtSvidIncludeJti: true });
    entries.set("jti", jti);
    await fetch(["e"], jti);
    expect([...reserve.stored()].map(({ entryId }) => entryId)).not.toContain("jti");
  });

  test("never where the server knows of none: it is asked once on each connection, and what is held goes", async () => {
    const { hold, server, fail, reserve, made, generation, pass, log } = await setUp();
    await hold();
    server.reserve = fail("UNIMPLEMENTED");
    await hold(["more"]);
    expect(reserve.size).toBe(0);
    for (const audience of ["a", "b", "c"]) await hold([audience]);
    expect(made).toEqual(["db", "more"]);
    expect(log.lines.filter(({ level }) => level === "warn" || level === "error")).toEqual([]);
    generation.value++;
    server.reserve = async () => Promise.reject(new AgentError("UNIMPLEMENTED", "no"));
    await pass(61_000);
    expect(made).toHaveLength(3);
  });

  test("not for entries that the server refuses, until they are others", async () => {
    const { hold, server, fail, made, entries, reserve, pass } = await setUp();
    const { reserve: sign } = server;
    server.reserve = fail("FAILED_PRECONDITION");
    await hold();
    await pass(300_000, 10_000);
    expect(made).toHaveLength(1);
    server.reserve = sign;
    entries.set("web", { ...web, revision: 1n });
    await pass(61_000);
    expect(reserve.size).toBe(1);
  });

  test("after an outage, and not tried over and over during it", async () => {
    const { hold, down, made, pass, server, health, reserve, fail } = await setUp();
    const { reserve: sign } = server;
    down();
    server.sign = fail("PERMISSION_DENIED");
    await Promise.resolve(hold()).catch(() => {});
    await pass(120_000);
    expect(made.length).toBeLessThan(2);
    server.reserve = sign;
    health.reached(true);
    await pass(70_000);
    expect(reserve.size).toBe(1);
  });
});

describe("goes at once", () => {
  test("when the entry is removed or changed; a changed one's is made anew", async () => {
    const { hold, entries, reserve, made, pass } = await setUp();
    await hold();
    entries.set("web", { ...web, revision: 1n });
    reserve.entriesChanged();
    expect(reserve.size).toBe(0);
    await pass(1_000);
    expect(made).toHaveLength(2);
    expect(reserve.size).toBe(1);
    entries.clear();
    reserve.entriesChanged();
    expect([...reserve.stored()]).toEqual([]);
  });

  test("when serving stops, and what was on its way is not kept", async () => {
    const { hold, jwts, reserve, server, fetch, pass } = await setUp();
    await hold();
    let answer = (): void => {};
    const { reserve: sign } = server;
    server.reserve = async (...args) => {
      await new Promise<void>((resolve) => {
        answer = resolve;
      });
      return await sign(...args);
    };
    await fetch(["late"]);
    await pass(1_000);
    jwts.clear();
    expect(reserve.size).toBe(0);
    answer();
    await pass(1_000);
    expect([...reserve.stored()]).toEqual([]);
  });

  test("when its key is tainted or revoked, and another one is made", async () => {
    const { hold, jwts, reserve, made, pass, signWith, log } = await setUp();
    jwts.adoptBundle(jwtBundle("example.org", key, other));
    await hold();
    const tainted = { ...jwtBundle("example.org", other) };
    signWith(other);
    jwts.adoptBundle({ ...tainted, jwtAuthorities: [...tainted.jwtAuthorities, { ...key.authority, tainted: true }] });
    expect(reserve.size).toBe(0);
    expect(log.text).toContain("tainted or revoked authority");
    await pass(1_000);
    expect(made).toHaveLength(2);
    expect([...reserve.stored()][0]?.reserve?.svid.keyId).toBe("kid-2");
  });
});

describe("what was stored", () => {
  test("is given after a restart; not what the bundle no longer vouches for, nor what is of no entry", async () => {
    const before = await setUp();
    await before.hold();
    await before.hold(["api"]);
    const stored = [...before.reserve.stored()];
    const after = await setUp();
    after.reserve.restore(stored, jwtBundle("example.org", key), after.clock.now());
    expect(after.reserve.size).toBe(2);
    after.down();
    await after.pass(4_000);
    expect(await after.lifeOf(after.fetch())).toBe(LIFE_S);

    for (const authorities of [[], [{ ...key.authority, tainted: true }]]) {
      const { reserve, clock } = await setUp();
      reserve.restore(stored, { ...jwtBundle("example.org"), jwtAuthorities: authorities }, clock.now());
      expect(reserve.size).toBe(0);
      expect([...reserve.stored()]).toHaveLength(2);
    }
    const { reserve, clock, entries } = await setUp();
    entries.clear();
    reserve.restore(stored, jwtBundle("example.org", key), clock.now());
    expect([...reserve.stored()]).toEqual([]);
  });

  test("is written when there is news, not at every call", async () => {
    const { hold, fetch, reserve, pass } = await setUp();
    let writings = 0;
    reserve.onChanged = () => {
      writings++;
    };
    await hold();
    expect(writings).toBe(2);
    for (let count = 0; count < 100; count++) await fetch();
    expect(writings).toBe(2);
    await pass(3_600_000, 60_000);
    const since = writings;
    await fetch();
    expect(writings).toBe(since + 1);
  });
});
