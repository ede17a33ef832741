/** Arguments that decode and yet are none: audiences, IDs, tokens, selectors, names and types of secrets. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../../../src/lib/clock.ts";
import { AdminHarness, FakeAgent } from "../../agent-admin/harness.ts";
import { until } from "../../lib/rpc/harness.ts";
import { jwtBundle, makeKey, makeToken, NOW } from "../../pki/jwt-tokens.ts";
import { refusedTokens } from "../../pki/refused-tokens.ts";
import { ApiHarness, FakeSource, identityOf, updateOf } from "../harness.ts";
import { SDS } from "../sds/support.ts";
import { field, framed, RawClient } from "./raw-client.ts";

const HEADER = { "workload.spiffe.io": "true" };
const SECRETS = "/envoy.service.secret.v3.SecretDiscoveryService";
const DELEGATED = "/spire.api.agent.delegatedidentity.v1.DelegatedIdentity";
const keys = {
  ec: makeKey("kid-1"),
  p384: makeKey("kid-384", "P-384"),
  rsa: makeKey("kid-rsa", "rsa"),
  // Another trust domain's, with the same key ID.
  foreign: makeKey("kid-1"),
};
const foreign = jwtBundle("b.test", keys.foreign);

const source = new FakeSource();
const agent = new FakeAgent();
let workload: ApiHarness;
let admin: AdminHarness;
let client: RawClient;
let adminClient: RawClient;

beforeAll(async () => {
  const bundle = jwtBundle("example.org", keys.ec, keys.p384, keys.rsa);
  source.everybody.set(
    updateOf([identityOf("a")], { bundle, federatedBundles: new Map([[foreign.trustDomain, foreign]]) }),
  );
  agent.cell("unix:uid:7").set(updateOf([identityOf("a")]));
  workload = await ApiHarness.open(source, { sds: SDS, clock: { ...systemClock, now: () => NOW * 1_000 } });
  admin = await AdminHarness.open(agent);
  client = new RawClient(workload.path);
  adminClient = new RawClient(admin.path);
});
afterAll(async () => {
  client?.[Symbol.dispose]();
  adminClient?.[Symbol.dispose]();
  await workload?.[Symbol.asyncDispose]();
  await admin?.[Symbol.asyncDispose]();
});

const ask = (path: string, ...fields: Buffer[]): Promise<string> =>
  client.call(path, { headers: HEADER, data: [framed(Buffer.concat(fields))] });
const repeated = (number: number, texts: readonly string[]): Buffer[] => texts.map((text) => field(number, text));
const selector = field(2, Buffer.concat([field(1, "unix"), field(2, "uid:7")]));

const AUDIENCES: readonly (readonly [what: string, audience: readonly string[], answer: string])[] = [
  ["none", [], "3 audience must be specified"],
  ["an empty one", [""], "3 audience must be specified"],
  ["thousands of empty ones", Array<string>(10_000).fill(""), "3 audience must be specified"],
  ["a huge one", ["x".repeat(17_000)], "3 audience is too long"],
  ["thousands", Array.from({ length: 9_000 }, (_, index) => String(index)), "3 too many audiences: 256 at most"],
  ["the same one thousands of times", Array<string>(9_000).fill("db"), "3 too many audiences: 256 at most"],
  ["one that is just not too long", ["x".repeat(16 * 1024 - 1)], "a message"],
  ["the same one twice", ["db", "db"], "a message"],
  ["control characters", ["d\u0000b\n"], "a message"],
];

test.each(AUDIENCES)("audiences of FetchJWTSVID and FetchJWTSVIDs: %s (API-22)", async (_what, audience, answer) => {
  source.asked.length = 0;
  expect(await ask("/SpiffeWorkloadAPI/FetchJWTSVID", ...repeated(1, audience))).toBe(answer);
  // As they were given: that one is named twice is the issuer's business.
  expect(source.asked.map((asked) => asked.audience)).toEqual(answer === "a message" ? [audience] : []);
  const data = [framed(Buffer.concat([...repeated(1, audience), selector]))];
  expect(await adminClient.call(`${DELEGATED}/FetchJWTSVIDs`, { data })).toBe(answer);
});

test.each([
  ["web", 'scheme is missing or invalid: want "spiffe://"'],
  ["spiffe://", "trust domain is missing"],
  ["spiffe://Example.org/a", "trust domain characters are limited to"],
  ["spiffe://example.org/a/", "path cannot have a trailing slash"],
  ["spiffe://example.org/../a", "path cannot contain dot segments"],
  ["spiffe://example.org/a?b", "path segment characters are limited to"],
  [`spiffe://example.org/${"a".repeat(2_048)}`, "2048"],
])("FetchJWTSVID for %s", async (id, reason) => {
  const attested = source.peers.length;
  const answer = await ask("/SpiffeWorkloadAPI/FetchJWTSVID", field(1, "db"), field(2, id));
  expect(answer).toMatch(/^3 invalid requested SPIFFE ID: /);
  expect(answer).toContain(reason);
  expect(source.peers.length).toBe(attested);
});

test("FetchJWTSVID for an ID that is another's is PERMISSION_DENIED (API-23)", async () => {
  const answer = await ask("/SpiffeWorkloadAPI/FetchJWTSVID", field(1, "db"), field(2, "spiffe://example.org/b"));
  expect(answer).toBe("7 no identity issued");
});

describe("ValidateJWTSVID", () => {
  const validate = (token: string, audience = "db"): Promise<string> =>
    ask("/SpiffeWorkloadAPI/ValidateJWTSVID", field(1, audience), field(2, token));
  /** What is said before a token is looked at. */
  const earlier: Readonly<Record<string, RegExp>> = {
    empty: /^3 svid must be specified$/,
    "1 MB": /^8 received message larger than max \(\d+ vs\. 65536\)$/,
  };

  test.each(refusedTokens(keys))("refuses: $rule $what", async ({ what, token, message }) => {
    const answer = await validate(token);
    const expected = earlier[what];
    if (expected === undefined) expect(answer).toBe(`3 ${message}`);
    else expect(answer).toMatch(expected);
  });

  test("takes a good one beside them, and none of them is in the log", async () => {
    expect(await validate(makeToken(keys.ec))).toBe("a message");
    const text = JSON.stringify(workload.log.lines);
    for (const { token } of refusedTokens(keys)) {
      const [, payload = ""] = token.split(".");
      if (payload.length > 20) expect(text).not.toContain(payload.slice(0, 200));
    }
  });

  test("without an audience, or for a huge one", async () => {
    expect(await validate(makeToken(keys.ec), "")).toBe("3 audience must be specified");
    const answer = await validate(makeToken(keys.ec), "x".repeat(60_000));
    expect(answer).toMatch(/^3 expected audience in \["x+…?.*\(audience=\["db"\]\)/);
    expect(answer.length).toBeLessThan(1_100);
  });
});

test.each([
  ["no type", [field(2, "uid:7")]],
  ["a type with a colon", [field(1, "a:b"), field(2, "x")]],
  ["no value", [field(1, "unix")]],
  ["a value that is too long", [field(1, "unix"), field(2, "x".repeat(3_000))]],
])("selectors of a delegate: %s", async (_what, parts) => {
  const bad = field(1, Buffer.concat(parts));
  expect(await adminClient.call(`${DELEGATED}/SubscribeToX509SVIDs`, { data: [framed(bad)] })).toBe(
    "3 could not parse provided selectors",
  );
  const request = Buffer.concat([field(1, "db"), field(2, Buffer.concat(parts))]);
  expect(await adminClient.call(`${DELEGATED}/FetchJWTSVIDs`, { data: [framed(request)] })).toBe(
    "3 could not parse provided selectors",
  );
});

describe("secrets", () => {
  const NOT_ONE = Array.from({ length: 1_001 }, (_, index) => `n${index}`);
  const LONG = Array.from({ length: 40 }, (_, index) => `${index}`.padEnd(2_000, "x"));

  test.each([
    ["an unknown name", ["x"], '3 workload is not authorized for the requested identities ["x"]'],
    ["a name of one character too many", ["x".repeat(2_049)], "3 resource name is longer than 2048 characters"],
    ["a thousand and one names", NOT_ONE, "3 more than 1000 resource names"],
    ["long names", LONG, "3 resource names are longer than 65536 characters together"],
  ])("%s", async (_what, names, answer) => {
    for (const method of ["StreamSecrets", "FetchSecrets"]) {
      expect(await ask(`${SECRETS}/${method}`, ...repeated(3, names))).toBe(answer);
    }
    // The incremental variant tells of unknown names by taking them away.
    const delta = names.length === 1 && names[0] === "x" ? "a message" : answer;
    expect(await ask(`${SECRETS}/DeltaSecrets`, ...repeated(3, names))).toBe(delta);
  });

  test.each(["type.googleapis.com/x", "Secret", "\n", "x".repeat(5_000)])("of the type %j", async (type) => {
    const answer = `3 unsupported resource type ${JSON.stringify(type.slice(0, 200))}`;
    expect(await ask(`${SECRETS}/StreamSecrets`, field(4, type))).toBe(answer);
    expect(await ask(`${SECRETS}/FetchSecrets`, field(4, type))).toBe(answer);
    expect(await ask(`${SECRETS}/DeltaSecrets`, field(2, type))).toBe(answer);
  });

  test("a NACK loop on DeltaSecrets is read slowly, answered with nothing and logged a little", async () => {
    // On a socket of its own, for what is logged is bounded for all that a user does.
    await using api = await ApiHarness.open(source, { sds: SDS });
    using caller = new RawClient(api.path);
    const stream = caller.begin(`${SECRETS}/DeltaSecrets`);
    let answers = 0;
    stream.on("data", () => answers++);
    stream.write(framed(field(3, "default")));
    await until(() => answers === 1);
    const complaints = (): number =>
      api.log.lines.filter(({ message }) => message === "Envoy could not apply secrets").length;
    // Fifty at once, then ten a second: the loop waits in its own buffer and the kernel's.
    const complaint = framed(field(7, field(2, "cannot load")));
    for (let sent = 0; sent < 200; sent++) stream.write(complaint);
    await until(() => complaints() >= 30);
    const another = caller.call(`${SECRETS}/DeltaSecrets`, { data: [framed(field(3, "ROOTCA"))] });
    expect([await another, answers]).toEqual(["a message", 1]);
    expect(complaints()).toBeLessThanOrEqual(30);
    stream.close();
    await until(() => api.api.stats.sdsStreams === 0);
  });
});
