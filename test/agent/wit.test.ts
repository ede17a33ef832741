/** WIT-SVIDs through the whole agent, over the real protocol. */
import { createPublicKey } from "node:crypto";
import { decodeJwt, type JWK } from "jose";
import { expect, test } from "vitest";
import type { WitState } from "../../src/workload-api/ports.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { makeKey, type SigningKey, witBundle } from "../pki/jwt-tokens.ts";
import { makeSite, type RunningAgent, type Site, startAgent, until } from "./harness.ts";

const SELECTOR = "unix:uid:1";

/** A server that signs WIT-SVIDs by `key`; these are in its bundle. */
function sign(site: Site, key: SigningKey, ...keys: readonly (SigningKey | SigningKey["authority"])[]): void {
  const { state } = site.server;
  const authorities = (keys.length === 0 ? [key] : keys).map((one) => ("authority" in one ? one.authority : one));
  state.witKey = key;
  state.bundle = {
    ...state.bundle,
    sequence: state.bundle.sequence + 1n,
    witAuthorities: witBundle("example.org", ...authorities.map((authority) => ({ ...key, authority }))).witAuthorities,
  };
}

/** Follows what callers with the selector have. */
function follow(agent: RunningAgent, ...selectors: string[]) {
  const chosen = selectors.length === 0 ? [SELECTOR] : selectors;
  let told = 0;
  const follower = agent.agent.identitySource.wits.follow(() => void told++);
  const look = (): readonly WitState[] => follower.look(agent.value(...chosen).entries);
  return {
    look,
    get told() {
      return told;
    },
    get isRefused() {
      return follower.isRefused;
    },
    token: (): string | undefined => look()[0]?.svid?.token,
    keyId: (): string | undefined => look()[0]?.svid?.keyId,
    close: () => follower.close(),
  };
}

test("a WIT-SVID is signed when somebody asks, once for all who do, for a key made here", async () => {
  await using site = await makeSite();
  const { server } = site;
  sign(site, makeKey("wit-1"));
  server.addEntry("web", "/web", [SELECTOR]);
  server.addEntry("other", "/other", ["unix:uid:2"]);
  await using agent = await startAgent(site);
  await agent.expectIds([SELECTOR], ["/web"]);
  expect(server.count("BatchNewWITSVID")).toBe(0);
  const [one, two] = [follow(agent), follow(agent)];
  one.look();
  two.look();
  await until(() => one.token() !== undefined);
  const [state] = one.look();
  expect(two.look()[0]?.svid).toBe(state?.svid);
  expect([one.told > 0, two.told > 0]).toEqual([true, true]);
  const { cnf, ...claims } = decodeJwt(state?.svid?.token ?? "") as { cnf: { jwk: JWK } };
  expect(claims).toMatchObject({ sub: "spiffe://example.org/web" });
  const publicKey = createPublicKey(state?.svid?.privateKey as never).export({ format: "jwk" });
  expect(cnf.jwk).toEqual({ ...publicKey, alg: "ES256" });
  expect(server.count("BatchNewWITSVID")).toBe(1);
  one.close();
  two.close();
  // The next caller has the same one.
  expect(follow(agent).look()[0]?.svid).toBe(state?.svid);
  expect(server.count("BatchNewWITSVID")).toBe(1);
});

test.each([
  ["ec-p384", "ES384"],
  ["rsa-2048", "RS256"],
] as const)("keys are %s where the configuration says so, for %s", async (workloadKeyType, algorithm) => {
  await using site = await makeSite();
  sign(site, makeKey("wit-1"));
  site.server.addEntry("web", "/web", [SELECTOR]);
  await using agent = await startAgent(site, { options: { workloadKeyType } });
  await agent.expectIds([SELECTOR], ["/web"]);
  const caller = follow(agent);
  await until(
    () => caller.token() !== undefined,
    () => agent.log.text,
  );
  expect(caller.look()[0]?.svid?.algorithm).toBe(algorithm);
});

test("it is renewed while somebody follows it, and served while the server is away", async () => {
  await using site = await makeSite();
  const { server } = site;
  sign(site, makeKey("wit-1"));
  server.state.witTtlS = 4;
  server.addEntry("web", "/web", [SELECTOR]);
  await using agent = await startAgent(site);
  await agent.expectIds([SELECTOR], ["/web"]);
  const caller = follow(agent);
  await until(() => caller.token() !== undefined);
  const first = caller.token();
  server.state.witTtlS = 3_600;
  await until(() => ![undefined, first].includes(caller.token()));
  const second = caller.token();
  await server.stop();
  await until(() => !agent.agent.health.facts.value.connected);
  expect(caller.token()).toBe(second);
  expect(follow(agent).token()).toBe(second);
});

test("a tainted authority, and one that is published no more, take their tokens along", async () => {
  await using site = await makeSite();
  const { server } = site;
  const [old, next, last] = [makeKey("wit-1"), makeKey("wit-2"), makeKey("wit-3")];
  sign(site, old, old, next);
  server.addEntry("web", "/web", [SELECTOR]);
  await using agent = await startAgent(site);
  await agent.expectIds([SELECTOR], ["/web"]);
  const caller = follow(agent);
  await until(() => caller.keyId() === "wit-1");
  sign(site, next, { ...old.authority, tainted: true }, next, last);
  await until(
    () => caller.keyId() === "wit-2",
    () => agent.log.text,
  );
  sign(site, last, last);
  await until(
    () => caller.keyId() === "wit-3",
    () => agent.log.text,
  );
});

test("an entry that changes has a new one; with another ID the old one is gone at once", async () => {
  await using site = await makeSite();
  const { server } = site;
  sign(site, makeKey("wit-1"));
  server.addEntry("web", "/web", [SELECTOR]);
  await using agent = await startAgent(site);
  await agent.expectIds([SELECTOR], ["/web"]);
  const caller = follow(agent);
  await until(() => caller.token() !== undefined);
  const first = caller.token();
  server.addEntry("web", "/web", [SELECTOR], { revisionNumber: 1n });
  await until(() => ![undefined, first].includes(caller.token()));
  server.addEntry("web", "/renamed", [SELECTOR], { revisionNumber: 2n });
  const seen = new Set<string>();
  await until(() => {
    const [state] = caller.look();
    if (state?.entry.spiffeId.endsWith("/renamed") === true) seen.add(state.svid?.spiffeId ?? "");
    return seen.has("spiffe://example.org/renamed");
  });
  expect(seen).not.toContain("spiffe://example.org/web");
});

test.each([
  ["for another identity", { sub: "spiffe://example.org/x" }, "it is for another identity"],
  ["with an audience (WIT-17)", { aud: ["db"] }, "token has an aud claim"],
  [
    "for another key (WIT-08)",
    { cnf: { jwk: { ...makeKey("x").privateKey.export({ format: "jwk" }), alg: "ES256" } } },
    "another key than ours",
  ],
  ["without a key (WIT-08)", { cnf: undefined }, "token has no cnf claim"],
  ["that has expired (WIT-12)", { exp: 1_000_000_000 }, "token has expired"],
])("a token %s is not served", async (_what, witClaims, message) => {
  await using site = await makeSite();
  sign(site, makeKey("wit-1"));
  site.server.state.witClaims = witClaims;
  site.server.addEntry("web", "/web", [SELECTOR]);
  await using agent = await startAgent(site);
  await agent.expectIds([SELECTOR], ["/web"]);
  const caller = follow(agent);
  await until(() => caller.look()[0]?.failed === true);
  expect(caller.token()).toBeUndefined();
  expect(agent.log.text).toContain(message);
  expect(agent.log.text).not.toContain("eyJ");
  expect(agent.agent.health.facts.value.problems.get("wit_signing")).toBe("no new WIT-SVIDs for 1 entries");
});

test("a key that the bundle lacks is not trusted", async () => {
  await using site = await makeSite();
  sign(site, makeKey("wit-1"), makeKey("wit-1"));
  site.server.addEntry("web", "/web", [SELECTOR]);
  await using agent = await startAgent(site);
  await agent.expectIds([SELECTOR], ["/web"]);
  const caller = follow(agent);
  await until(() => caller.look()[0]?.failed === true);
  expect(caller.token()).toBeUndefined();
});

test("one entry that is refused does not keep the others from theirs", async () => {
  await using site = await makeSite();
  const { server } = site;
  sign(site, makeKey("wit-1"));
  for (const name of ["a", "b"]) server.addEntry(name, `/${name}`, [SELECTOR]);
  await using agent = await startAgent(site);
  await agent.expectIds([SELECTOR], ["/a", "/b"]);
  server.state.refusedEntries.add("a");
  const caller = follow(agent);
  await until(() => caller.look().every(({ svid, failed }) => failed || svid !== undefined));
  expect(caller.look().map(({ svid, failed }) => [svid !== undefined, failed])).toEqual([
    [false, true],
    [true, false],
  ]);
});

test("a failure is no problem any more when nobody follows its entry, but rests until then", async () => {
  await using site = await makeSite();
  const { server } = site;
  sign(site, makeKey("wit-1"));
  server.addEntry("web", "/web", [SELECTOR]);
  const clock = new FakeClock(Date.now());
  await using agent = await startAgent(site, { clock, options: { syncIntervalMs: 60_000 } });
  await agent.expectIds([SELECTOR], ["/web"]);
  server.state.refusedEntries.add("web");
  const problems = (): ReadonlyMap<string, string> => agent.agent.health.facts.value.problems;
  const caller = follow(agent);
  caller.look();
  await until(() => problems().has("wit_signing"));
  caller.close();
  const again = follow(agent);
  again.look();
  expect(server.count("BatchNewWITSVID")).toBe(1);
  again.close();
  await clock.advance(61_000);
  await until(() => !problems().has("wit_signing"));
  expect(server.count("BatchNewWITSVID")).toBe(1);
});

test("a server that signs none is asked once for a connection, and again over the next", async () => {
  await using site = await makeSite();
  const { server } = site;
  const key = makeKey("wit-1");
  sign(site, key);
  server.state.witKey = undefined;
  server.addEntry("web", "/web", [SELECTOR]);
  await using agent = await startAgent(site);
  await agent.expectIds([SELECTOR], ["/web"]);
  const caller = follow(agent);
  caller.look();
  await until(() => caller.isRefused);
  expect(caller.told).toBeGreaterThan(0);
  caller.close();
  const [again, third] = [follow(agent), follow(agent)];
  again.look();
  third.look();
  expect([again.isRefused, third.isRefused]).toEqual([true, true]);
  expect(server.count("BatchNewWITSVID")).toBe(1);
  await server.stop();
  await until(() => !agent.agent.health.facts.value.connected);
  server.state.witKey = key;
  await server.start();
  await until(() => agent.agent.health.facts.value.connected);
  await until(
    () => again.token() !== undefined,
    () => agent.log.text,
  );
  expect(again.isRefused).toBe(false);
});

test("after a ban nothing is given, and what was on its way is not kept", async () => {
  await using site = await makeSite();
  const { server } = site;
  sign(site, makeKey("wit-1"));
  server.addEntry("web", "/web", [SELECTOR]);
  await using agent = await startAgent(site);
  await agent.expectIds([SELECTOR], ["/web"]);
  const { entries } = agent.value(SELECTOR);
  const follower = agent.agent.identitySource.wits.follow(() => {});
  follower.look(entries);
  await until(() => follower.look(entries)[0]?.svid !== undefined);
  server.state.agents.get("spiffe://example.org/spire/agent/join_token/token-1")!.banned = true;
  await agent.expectIds([SELECTOR], []);
  expect(follower.look(entries)[0]?.svid).toBeUndefined();
});
