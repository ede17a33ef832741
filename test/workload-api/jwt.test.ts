import { status as Status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import {
  type JWTBundlesResponse,
  type JWTSVIDResponse,
  type SpiffeWorkloadAPIClient,
  SpiffeWorkloadAPIService,
  ValidateJWTSVIDRequest,
  type ValidateJWTSVIDResponse,
} from "../../src/gen/workload/workload.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { publicError } from "../../src/lib/errors.ts";
import type { TrustBundle } from "../../src/spiffe/bundle.ts";
import type { JwtSvid } from "../../src/spiffe/svid.ts";
import { jwtMethods } from "../../src/workload-api/jwt.ts";
import type { WorkloadUpdate } from "../../src/workload-api/ports.ts";
import { until } from "../lib/rpc/harness.ts";
import { goodClaims, jwtBundle, makeKey, makeToken, type SigningKey } from "../pki/jwt-tokens.ts";
import { ApiHarness, FakeSource, type HarnessOptions, header, identityOf, jwtOf, Reader, updateOf } from "./harness.ts";

const key = makeKey("kid-1");
const foreignKey = makeKey("kid-1");
const own = jwtBundle("example.org", key);
const foreign = jwtBundle("b.test", foreignKey);
const bundles = (...all: TrustBundle[]) => new Map(all.map((bundle) => [bundle.trustDomain, bundle]));
const nowS = (): number => Math.floor(Date.now() / 1_000);
/** A token that is valid now. */
const token = (signer: SigningKey, claims: object = {}): string =>
  makeToken(signer, { ...goodClaims(), exp: nowS() + 300, iat: nowS(), ...claims });

type Unary<Req, Res> = (
  request: Req,
  metadata: ReturnType<typeof header>,
  callback: (error: { code: number; details: string } | null, response: Res) => void,
) => unknown;

/** The response, or `code details`. */
function ask<Req, Res>(method: Unary<Req, Res>, request: Req, metadata = header()): Promise<Res | string> {
  return new Promise((resolve) => {
    method(request, metadata, (error, response) =>
      resolve(error === null ? response : `${error.code} ${error.details}`),
    );
  });
}

async function start(update: WorkloadUpdate, options: HarnessOptions = {}) {
  const source = new FakeSource();
  source.everybody.set(update);
  const harness = await ApiHarness.open(source, options);
  const client: SpiffeWorkloadAPIClient = harness.client();
  return {
    source,
    harness,
    fetch: (audience: string[], spiffeId = "", metadata = header()) =>
      ask<unknown, JWTSVIDResponse>(client.fetchJwtsvid.bind(client) as never, { audience, spiffeId }, metadata),
    validate: (svid: string, audience = "db", metadata = header()) =>
      ask<unknown, ValidateJWTSVIDResponse>(client.validateJwtsvid.bind(client) as never, { svid, audience }, metadata),
    bundles: (metadata = header()): Reader<JWTBundlesResponse> =>
      new Reader(harness.client().fetchJwtBundles({}, metadata)),
    client,
    [Symbol.asyncDispose]: () => harness[Symbol.asyncDispose](),
  };
}

describe("FetchJWTSVID", () => {
  test("one token per identity with the whole audience, in order, with hints (API-22, API-24)", async () => {
    await using api = await start(updateOf([identityOf("a", { hint: "internal" }), identityOf("b")]));
    expect(await api.fetch(["db", "api", "db"])).toEqual({
      svids: [
        { spiffeId: "spiffe://example.org/a", svid: "a:db,api,db", hint: "internal" },
        { spiffeId: "spiffe://example.org/b", svid: "b:db,api,db", hint: "" },
      ],
    });
  });

  test("spiffe_id chooses; one that is not the caller's is PERMISSION_DENIED (API-23)", async () => {
    await using api = await start(updateOf([identityOf("a"), identityOf("b")]));
    expect(await api.fetch(["db"], "spiffe://example.org/b")).toMatchObject({ svids: [{ svid: "b:db" }] });
    expect(await api.fetch(["db"], "spiffe://example.org/c")).toBe(`${Status.PERMISSION_DENIED} no identity issued`);
    expect(api.source.asked.map(({ entryId }) => entryId)).toEqual(["b"]);
  });

  test("of equal hints only the oldest entry, also when spiffe_id asks for another (API-16)", async () => {
    const update = updateOf([
      identityOf("a", { hint: "x", createdAt: 2 }),
      identityOf("b", { hint: "x", createdAt: 1 }),
      identityOf("c", { storeSvid: true }),
    ]);
    await using api = await start(update);
    expect(await api.fetch(["db"])).toMatchObject({ svids: [{ svid: "b:db" }] });
    expect(await api.fetch(["db"], "spiffe://example.org/a")).toBe(`${Status.PERMISSION_DENIED} no identity issued`);
  });

  test.each([
    [[], "", "audience must be specified"],
    [["", ""], "", "audience must be specified"],
    [["x".repeat(17_000)], "", "audience is too long"],
    [Array.from({ length: 9_000 }, () => "x"), "", "too many audiences: 256 at most"],
    [Array.from({ length: 257 }, (_, i) => `a${i}`), "", "too many audiences: 256 at most"],
    [["db"], "web", 'invalid requested SPIFFE ID: scheme is missing or invalid: want "spiffe://"'],
    [["db"], "spiffe://example.org/a/", "invalid requested SPIFFE ID: path cannot have a trailing slash"],
  ])("arguments are judged before the caller is attested: %#", async (audience, spiffeId, message) => {
    await using api = await start(updateOf([]));
    expect(await api.fetch(audience, spiffeId)).toBe(`${Status.INVALID_ARGUMENT} ${message}`);
    expect(api.source.peers).toEqual([]);
  });

  test("empty audiences among others are left out", async () => {
    await using api = await start(updateOf([identityOf("a")]));
    await api.fetch(["", "db", ""]);
    expect(api.source.asked).toEqual([{ entryId: "a", audience: ["db"] }]);
  });

  test("without an identity it is PERMISSION_DENIED (EP-15, API-18)", async () => {
    await using api = await start(updateOf([identityOf("a", { storeSvid: true })]));
    expect(await api.fetch(["db"])).toBe(`${Status.PERMISSION_DENIED} no identity issued`);
    const line = api.harness.log.lines.find(({ message }) => message === "No identity issued");
    expect(line?.fields).toMatchObject({ pid: process.pid, method: "/SpiffeWorkloadAPI/FetchJWTSVID" });
  });

  test("waits for the first sync, not for X509-SVIDs", async () => {
    await using api = await start(updateOf([], { pending: true }));
    const answer = api.fetch(["db"]);
    await until(() => api.source.everybody.readers === 1);
    const { entry } = identityOf("a");
    api.source.everybody.set(updateOf([], { pending: true, entries: [entry] }));
    expect(await answer).toMatchObject({ svids: [{ svid: "a:db" }] });
    expect(api.source.everybody.readers).toBe(0);
    expect(api.harness.api.stats.streams).toBe(0);
  });

  test("one failure is the failure of the call, and the others are given up", async () => {
    await using api = await start(updateOf([identityOf("a"), identityOf("b")]));
    const signals: AbortSignal[] = [];
    api.source.token = (entry, _audience, signal) => {
      signals.push(signal);
      return entry.entryId === "a"
        ? new Promise<JwtSvid>(() => {})
        : Promise.reject(publicError("UNAVAILABLE", "could not fetch JWT-SVID: unavailable"));
    };
    expect(await api.fetch(["db"])).toBe(`${Status.UNAVAILABLE} could not fetch JWT-SVID: unavailable`);
    expect(signals.every(({ aborted }) => aborted)).toBe(true);
  });

  test("a caller that leaves gives up what is asked for it", async () => {
    await using api = await start(updateOf([identityOf("a")]));
    let asked: AbortSignal | undefined;
    api.source.token = (_entry, _audience, signal) => {
      asked = signal;
      return new Promise<JwtSvid>(() => {});
    };
    const call = api.client.fetchJwtsvid({ audience: ["db"], spiffeId: "" }, header(), () => {});
    await until(() => asked !== undefined);
    call.cancel();
    await until(() => asked?.aborted === true);
    await until(() => api.harness.api.stats.streams === 0);
  });

  test("a token that comes when the caller is no longer who it was is not given", async () => {
    await using api = await start(updateOf([identityOf("a")]));
    let give: (svid: JwtSvid) => void = () => {};
    api.source.token = ({ spiffeId }) =>
      new Promise((resolve) => {
        give = () => resolve(jwtOf(spiffeId, "secret"));
      });
    const answer = api.fetch(["db"]);
    await until(() => api.source.asked.length === 1);
    const [peer] = api.source.peers;
    if (peer === undefined) throw new Error("no peer");
    Object.defineProperty(peer, "isUnchanged", { value: () => false });
    give(jwtOf(identityOf("a").entry.spiffeId, "secret"));
    expect(await answer).toBe(`${Status.UNAVAILABLE} workload attestation failed`);
  });

  test("a token that comes when its entry is gone is not given", async () => {
    const [a, b] = [identityOf("a"), identityOf("b")];
    await using api = await start(updateOf([a, b]));
    const give: (() => void)[] = [];
    api.source.token = ({ spiffeId }) =>
      new Promise((resolve) => give.push(() => resolve(jwtOf(spiffeId, `token of ${spiffeId}`))));
    const both = api.fetch(["db"]);
    await until(() => give.length === 2);
    api.source.everybody.set(updateOf([b]));
    for (const one of give.splice(0)) one();
    expect(await both).toMatchObject({ svids: [{ svid: "token of spiffe://example.org/b" }] });
    const none = api.fetch(["db"]);
    await until(() => give.length === 1);
    const { entry } = b;
    api.source.everybody.set(updateOf([], { entries: [{ ...entry, spiffeId: a.entry.spiffeId }] }));
    give[0]?.();
    expect(await none).toBe(`${Status.PERMISSION_DENIED} no identity issued`);
  });

  test("two entries that share an identity keep their hints", async () => {
    const { entry } = identityOf("a", { hint: "one" });
    const shared = jwtOf(entry.spiffeId, "token");
    const update = (hint: string) => updateOf([], { entries: [{ ...entry, hint }] });
    await using api = await start(update("one"));
    api.source.token = () => shared;
    for (const hint of ["one", "two", "one"]) {
      api.source.everybody.set(update(hint));
      expect(await api.fetch(["db"])).toMatchObject({ svids: [{ svid: "token", hint }] });
    }
  });
});

describe("FetchJWTBundles", () => {
  const update = (all: Partial<WorkloadUpdate>) => updateOf([identityOf("a")], { bundle: own, ...all });

  test("JWK sets of JWT keys only, own and federated (API-20, API-21, API-25)", async () => {
    const withOthers: TrustBundle = { ...own, witAuthorities: [foreignKey.authority] };
    await using api = await start(update({ bundle: withOthers, federatedBundles: bundles(foreign) }));
    const message = await api.bundles().next();
    const { x, y } = key.privateKey.export({ format: "jwk" });
    expect(Object.keys(message.bundles)).toEqual(["spiffe://b.test", "spiffe://example.org"]);
    expect(message.bundles["spiffe://example.org"]?.toString()).toBe(
      JSON.stringify({ keys: [{ kty: "EC", kid: "kid-1", crv: "P-256", x, y }] }, undefined, 4),
    );
  });

  test("is told of changes of JWT keys only", async () => {
    await using api = await start(update({}));
    const stream = api.bundles();
    await stream.next();
    for (let i = 0; i < 3; i++) {
      api.source.everybody.set(
        update({
          bundle: { ...own, x509Authorities: [{ certificate: new Uint8Array([i]) as never, tainted: false }] },
        }),
      );
    }
    api.source.everybody.set(update({ bundle: jwtBundle("example.org", key, makeKey("kid-2")) }));
    const { keys } = JSON.parse(String((await stream.next()).bundles["spiffe://example.org"])) as { keys: unknown[] };
    expect(keys).toHaveLength(2);
    expect(stream.waiting).toBe(0);
  });

  test("a bundle that goes is left out of the next message (API-05, API-09)", async () => {
    await using api = await start(update({ federatedBundles: bundles(foreign) }));
    const stream = api.bundles();
    await stream.next();
    api.source.everybody.set(update({}));
    expect(Object.keys((await stream.next()).bundles)).toEqual(["spiffe://example.org"]);
  });

  test("callers without an identity get the own bundle only where that is allowed", async () => {
    const nobody = updateOf([], { bundle: own, federatedBundles: bundles(foreign) });
    await using api = await start(nobody);
    expect(await api.bundles().end()).toBe(`${Status.PERMISSION_DENIED} no identity issued`);
    await using open = await start(nobody, { allowUnauthenticatedVerifiers: true });
    expect(Object.keys((await open.bundles().next()).bundles)).toEqual(["spiffe://example.org"]);
  });
});

describe("ValidateJWTSVID", () => {
  const update = updateOf([identityOf("a")], { bundle: own, federatedBundles: bundles(foreign) });

  test("returns subject and all claims, numbers and structures as they are, aud as a list (API-26, API-27)", async () => {
    await using api = await start(update);
    const claims = { aud: "db", fooBar: 1.5, nested: { list: [1, null, true, { x: "y" }] }, jti: "1" };
    const exp = nowS() + 100;
    expect(await api.validate(token(key, { ...claims, exp }))).toEqual({
      spiffeId: "spiffe://example.org/web",
      claims: { ...claims, aud: ["db"], exp, sub: "spiffe://example.org/web", iat: expect.any(Number) },
    });
  });

  test("of a foreign token only sub, aud, exp and what is allowed", async () => {
    const exp = nowS() + 100;
    const svid = token(foreignKey, { sub: "spiffe://b.test/x", exp, role: "r", other: 1 });
    await using api = await start(update, { allowedForeignJwtClaims: ["role"] });
    expect(await api.validate(svid)).toEqual({
      spiffeId: "spiffe://b.test/x",
      claims: { sub: "spiffe://b.test/x", aud: ["db"], exp, role: "r" },
    });
  });

  test("a caller without an identity may have tokens of our trust domain validated", async () => {
    await using api = await start(updateOf([], { bundle: own }));
    expect(await api.validate(token(key))).toMatchObject({ spiffeId: "spiffe://example.org/web" });
    expect(await api.validate(token(foreignKey, { sub: "spiffe://b.test/x" }))).toBe(
      `${Status.INVALID_ARGUMENT} no keys found for trust domain "b.test"`,
    );
  });

  test("what is invalid is INVALID_ARGUMENT with the reason, and the token is not logged", async () => {
    await using api = await start(update);
    const svid = token(key, { exp: 1 });
    expect(await api.validate(svid)).toBe(`${Status.INVALID_ARGUMENT} token has expired`);
    expect(await api.validate(token(key), "é")).toBe(
      `${Status.INVALID_ARGUMENT} expected audience in ["é"] (audience=["db"])`,
    );
    expect(JSON.stringify(api.harness.log.lines)).not.toContain(svid.split(".")[1]);
    expect(await api.validate(token(key, { aud: "what-is-in-it" }))).toContain("what-is-in-it");
    expect(await api.validate(token({ ...key, keyId: "what-is-in-it" }))).toContain("what-is-in-it");
    expect(api.harness.log.lines.map(({ fields }) => fields.error)).toContain("token is for another audience");
    expect(JSON.stringify(api.harness.log.lines)).not.toContain("what-is-in-it");
  });

  test("a caller whose X.509-SVID is on its way has its bundles already", async () => {
    const { entry } = identityOf("a");
    await using api = await start({ ...update, identities: [], pending: true, entries: [entry] });
    expect(await api.validate(token(key))).toMatchObject({ spiffeId: "spiffe://example.org/web" });
    expect(await api.validate(token(foreignKey, { sub: "spiffe://b.test/x" }))).toMatchObject({
      spiffeId: "spiffe://b.test/x",
    });
  });

  test("before the first sync it waits to hear of bundles", async () => {
    await using api = await start(updateOf([], { bundle: own, pending: true }));
    const answer = api.validate(token(foreignKey, { sub: "spiffe://b.test/x" }));
    await until(() => api.source.everybody.readers === 1);
    api.source.everybody.set(update);
    expect(await answer).toMatchObject({ spiffeId: "spiffe://b.test/x" });
  });

  test.each([
    ["", "db", "svid must be specified"],
    ["x", "", "audience must be specified"],
  ])("fields are mandatory (API-10, API-28): %#", async (svid, audience, message) => {
    await using api = await start(update);
    expect(await api.validate(svid, audience)).toBe(`${Status.INVALID_ARGUMENT} ${message}`);
    expect(api.source.peers).toEqual([]);
  });

  test("long tokens wait for their user's turn to be read, short ones do not; who has left by then costs nothing", () => {
    const turns: (() => void)[] = [];
    const joined: unknown[] = [];
    const host = { open: new Set(), attestations: { join: (peer: unknown) => joined.push(peer) } };
    const run = (_uid: number, work: () => void): unknown => turns.push(work);
    const methods = jwtMethods({ host, source: new FakeSource(), clock: systemClock, turns: { run } } as never, {
      allowUnauthenticatedVerifiers: false,
      allowedForeignClaims: new Set(),
    });
    const method = new Map(methods).get("ValidateJWTSVID");
    if (method?.kind !== "single") throw new Error("no such method");
    const validate = (svid: string) => {
      const ended: string[] = [];
      const end = (_code: number, message: string): unknown => ended.push(message);
      const call = { peer: { uid: 7 }, meta: () => "true", end, onCancel: null as (() => void) | null };
      method.run(call as never, ValidateJWTSVIDRequest.encode({ svid, audience: "db" }).finish());
      return { call, ended };
    };
    const long = token(key, { padding: "x".repeat(4_000) });
    validate(token(key));
    expect([joined.length, turns.length]).toEqual([1, 0]);
    const [, left, malformed] = [validate(long), validate(long), validate(`${long}x`)];
    expect([joined.length, turns.length, malformed.ended]).toEqual([1, 3, []]);
    left.call.onCancel?.();
    for (const turn of turns) turn();
    expect(joined).toHaveLength(2);
    expect(malformed.ended).toEqual(["unable to parse JWT token: signature is not base64url"]);
  });

  test("a token of 1 MB never gets as far", async () => {
    await using api = await start(update);
    expect(await api.validate("a".repeat(1024 * 1024))).toMatch(new RegExp(`^${Status.RESOURCE_EXHAUSTED} `));
  });
});

describe("every JWT method", () => {
  const methods = ["fetchJwtsvid", "fetchJwtBundles", "validateJwtsvid"] as const;
  test.each(methods)("%s needs the security header, once, before anything else (EP-05)", async (method) => {
    await using api = await start(updateOf([identityOf("a")]));
    for (const metadata of [header("false"), header("true", "true"), header("True")]) {
      const answers = {
        fetchJwtsvid: () => api.fetch([], "", metadata),
        fetchJwtBundles: () => api.bundles(metadata).end(),
        validateJwtsvid: () => api.validate("", "", metadata),
      };
      expect(await answers[method]()).toBe(`${Status.INVALID_ARGUMENT} security header missing from request`);
    }
    expect(api.source.peers).toEqual([]);
  });

  test("bytes that are no message are INVALID_ARGUMENT", async () => {
    await using api = await start(updateOf([identityOf("a")]));
    for (const name of methods) {
      const { path } = SpiffeWorkloadAPIService[name];
      const answer = await new Promise((resolve) => {
        api.client.makeUnaryRequest(
          path,
          (bytes: Buffer) => bytes,
          (bytes) => bytes,
          Buffer.from([0x0a, 0xff]),
          header(),
          (error) => resolve(`${error?.code} ${error?.details}`),
        );
      });
      expect(answer).toBe(`${Status.INVALID_ARGUMENT} request is no valid message`);
    }
  });

  test("closing ends calls that wait", async () => {
    await using api = await start(updateOf([], { pending: true }));
    const answer = api.fetch(["db"]);
    await until(() => api.source.everybody.readers === 1);
    await api.harness.api.close();
    expect(await answer).toBe(`${Status.UNAVAILABLE} agent is stopping`);
  });
});
