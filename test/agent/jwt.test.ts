/** JWT-SVIDs through the whole agent, over the real protocol. */
import { decodeJwt } from "jose";
import { expect, test, vi } from "vitest";
import type { JwtSvid } from "../../src/spiffe/svid.ts";
import { jwtBundle, makeKey } from "../pki/jwt-tokens.ts";
import { makeSite, type RunningAgent, startAgent, until } from "./harness.ts";

const SELECTOR = "unix:uid:1";
const never = new AbortController();

/** The token of the first entry that callers with the selector have. */
async function fetchJwt(agent: RunningAgent, audience = ["db"]): Promise<JwtSvid> {
  const [entry] = agent.value(SELECTOR).entries;
  if (entry === undefined) throw new Error("no entry");
  return await agent.agent.identitySource.fetchJwtSvid(entry, audience, () => never.signal);
}

test("a token is signed by the server once, with the audience as asked, also for an entry without an X509-SVID (API-22)", async () => {
  await using site = await makeSite();
  const { server } = site;
  server.addEntry("web", "/web", [SELECTOR]);
  server.state.refusedEntries.add("web");
  await using agent = await startAgent(site);
  await until(() => agent.value(SELECTOR).entries.length === 1);
  expect(agent.value(SELECTOR).identities).toEqual([]);
  const [first, second] = await Promise.all([fetchJwt(agent, ["b", "a"]), fetchJwt(agent, ["b", "a"])]);
  expect(second).toBe(first);
  expect(await fetchJwt(agent, ["a", "b"])).toBe(first);
  expect(decodeJwt(first.token)).toMatchObject({ sub: "spiffe://example.org/web", aud: ["b", "a"] });
  expect(first).toMatchObject({ keyId: "jwt-1", notAfter: first.notBefore + 300_000 });
  expect(server.count("NewJWTSVID")).toBe(1);
});

test("an entry with jti, which comes with the sync, has a new token each time", async () => {
  await using site = await makeSite();
  const { server } = site;
  server.addEntry("web", "/web", [SELECTOR], {
    additionalAttributes: { disableX509SvidPrefetch: false, jwtSvidIncludeJti: true },
  });
  await using agent = await startAgent(site);
  await until(() => agent.value(SELECTOR).entries.length === 1);
  const ids = [await fetchJwt(agent), await fetchJwt(agent)].map(({ token }) => decodeJwt(token).jti);
  expect(new Set(ids).size).toBe(2);
  expect(ids).not.toContain(undefined);
});

test("a server that is away for a moment is waited for; a valid token needs none", async () => {
  await using site = await makeSite();
  const { server } = site;
  server.addEntry("web", "/web", [SELECTOR]);
  await using agent = await startAgent(site);
  await agent.expectIds([SELECTOR], ["/web"]);
  const before = await fetchJwt(agent);
  await server.stop();
  expect(await fetchJwt(agent)).toBe(before);
  const waiting = fetchJwt(agent, ["api"]);
  await server.start();
  expect(decodeJwt((await waiting).token).aud).toEqual(["api"]);
}, 30_000);

test("a tainted JWT authority takes its tokens along", async () => {
  await using site = await makeSite();
  const { server } = site;
  const { state } = server;
  const next = makeKey("jwt-2");
  const withKeys = (...keys: Parameters<typeof jwtBundle>[1][]) => jwtBundle("example.org", ...keys).jwtAuthorities;
  state.bundle = { ...state.bundle, jwtAuthorities: withKeys(state.jwtKey, next) };
  server.addEntry("web", "/web", [SELECTOR]);
  await using agent = await startAgent(site);
  await agent.expectIds([SELECTOR], ["/web"]);
  expect((await fetchJwt(agent)).keyId).toBe("jwt-1");
  const [old, current] = state.bundle.jwtAuthorities;
  if (old === undefined || current === undefined) throw new Error("no keys");
  state.jwtKey = next;
  state.bundle = { ...state.bundle, sequence: 9n, jwtAuthorities: [{ ...old, tainted: true }, current] };
  await until(() => agent.value(SELECTOR).bundle.jwtAuthorities[0]?.tainted === true);
  expect((await fetchJwt(agent)).keyId).toBe("jwt-2");
});

test("after a ban no token is given", async () => {
  await using site = await makeSite();
  const { server } = site;
  server.addEntry("web", "/web", [SELECTOR]);
  await using agent = await startAgent(site);
  await agent.expectIds([SELECTOR], ["/web"]);
  const [entry] = agent.value(SELECTOR).entries;
  await fetchJwt(agent);
  server.state.agents.get(`spiffe://example.org/spire/agent/join_token/token-1`)!.banned = true;
  await agent.expectIds([SELECTOR], []);
  expect(agent.value(SELECTOR).entries).toEqual([]);
  if (entry === undefined) throw new Error("no entry");
  const asked = agent.agent.identitySource.fetchJwtSvid(entry, ["db"], () => AbortSignal.abort(new Error("left")));
  await expect(asked).rejects.toThrow("left");
});

/** An agent that holds a token of two and a half hours in reserve, beside one of three seconds. */
async function withReserve(site: Awaited<ReturnType<typeof makeSite>>): Promise<{ agent: RunningAgent; end: number }> {
  const { server } = site;
  server.state.jwtTtlS = 3;
  server.state.reserveTtlS = 9_000;
  server.addEntry("web", "/web", [SELECTOR]);
  const agent = await startAgent(site);
  await agent.expectIds([SELECTOR], ["/web"]);
  const { notAfter: end } = await fetchJwt(agent);
  await until(() => server.count("NewJWTSVIDReserve") === 1);
  // The answer is there when later ones are.
  const syncs = server.count("SyncAuthorizedEntries");
  await until(() => server.count("SyncAuthorizedEntries") > syncs + 1);
  return { agent, end };
}

const lifeOf = ({ notBefore, notAfter }: JwtSvid): number => (notAfter - notBefore) / 1_000;

test("while the server is away, and the token at hand has expired, the one in reserve is given", async () => {
  await using site = await makeSite();
  const { agent, end } = await withReserve(site);
  await using _ended = agent;
  await site.server.stop();
  expect(lifeOf(await fetchJwt(agent))).toBe(3);
  await until(() => Date.now() > end);
  expect(lifeOf(await fetchJwt(agent))).toBe(9_000);
  await site.server.start();
  await vi.waitFor(async () => expect(lifeOf(await fetchJwt(agent))).toBe(3), 20_000);
}, 30_000);

test("an entry that was updated has its reserve made anew; after a ban none is given", async () => {
  await using site = await makeSite();
  const { server } = site;
  const { agent, end } = await withReserve(site);
  await using _ended = agent;
  server.addEntry("web", "/web", [SELECTOR], { revisionNumber: 1n });
  await until(() => server.count("NewJWTSVIDReserve") === 2);
  const [entry] = agent.value(SELECTOR).entries;
  if (entry === undefined) throw new Error("no entry");
  server.state.agents.get("spiffe://example.org/spire/agent/join_token/token-1")!.banned = true;
  await agent.expectIds([SELECTOR], []);
  await server.stop();
  await until(() => Date.now() > end);
  const asked = agent.agent.identitySource.fetchJwtSvid(entry, ["db"], () => AbortSignal.timeout(1_000));
  await expect(asked).rejects.toThrow();
}, 30_000);

test("a server without reserves is asked once, and nothing is said of it", async () => {
  await using site = await makeSite();
  const { server } = site;
  server.addEntry("web", "/web", [SELECTOR]);
  await using agent = await startAgent(site);
  await agent.expectIds([SELECTOR], ["/web"]);
  await fetchJwt(agent);
  await until(() => server.count("NewJWTSVIDReserve") === 1);
  const first = await fetchJwt(agent, ["other"]);
  expect(await fetchJwt(agent, ["other"])).toBe(first);
  expect(agent.log.lines.filter(({ level }) => level === "warn" || level === "error")).toEqual([]);
});
