import { generateKeyPairSync } from "node:crypto";
import { decodeJwt } from "jose";
import { describe, expect, test } from "vitest";
import { SVIDService } from "../../../src/gen/spire/api/server/svid/v1/svid.ts";
import { GrpcCode } from "../../../src/lib/grpc-status.ts";
import { jwkFromSpki } from "../../../src/pki/jwk.ts";
import { generateKey, spkiOf } from "../../../src/pki/keys.ts";
import { entry, id, TD } from "../../fakes/entries.ts";
import { call, failure, newAgent, startServer } from "../harness.ts";

const KEY = spkiOf(await generateKey("ec-p256"));
const RSA = spkiOf(await generateKey("rsa-2048"));

async function setup(enabled = true, options = {}) {
  const server = await startServer({ ca: enabled ? { witKeyType: "ec-p256" } : {}, options });
  const agent = await newAgent(server);
  const { agentId: parentId } = agent;
  await server.store.entries.create(entry("a", { parentId, x509SvidTtl: 60 }));
  await server.store.entries.create(entry("b", { parentId }));
  await server.store.entries.create(entry("other", { parentId: id("/spire/agent/test/other") }));
  const batch = async (...params: [entryId: string, publicKey: Uint8Array, signingAlgorithm: string][]) => {
    const messages = params.map(([entryId, publicKey, signingAlgorithm]) => ({ entryId, publicKey, signingAlgorithm }));
    return (await call(agent.client, SVIDService.batchNewWitsvid, { params: messages })).results;
  };
  return { server, ...agent, batch, now: Math.floor(server.clock.now() / 1000) };
}

describe("a batch", () => {
  test("gives each entry's token for the key of its request, and says so", async () => {
    const { batch, now } = await setup();
    const results = await batch(["a", KEY, "ES256"], ["b", RSA, "PS512"]);
    expect(results.map(({ status }) => status)).toEqual([
      { code: 0, message: "OK" },
      { code: 0, message: "OK" },
    ]);
    const [a, b] = results.map(({ svid }) => decodeJwt(svid?.token ?? ""));
    const own = (key: Uint8Array, alg: string) => ({ jwk: { ...jwkFromSpki(key), alg } });
    expect(a).toEqual({ sub: id("/a"), iat: now, exp: now + 60, cnf: own(KEY, "ES256") });
    expect(b).toEqual({ sub: id("/b"), iat: now, exp: now + 6 * 3600, cnf: own(RSA, "PS512") });
    expect(results[0]?.svid).toMatchObject({
      id: { trustDomain: TD, path: "/a" },
      issuedAt: BigInt(now),
      expiresAt: BigInt(now + 60),
      hint: "",
    });
  });

  test("has an outcome per item (WIT-04, WIT-09)", async () => {
    const { batch } = await setup();
    const ed25519 = generateKeyPairSync("ed25519").publicKey.export({ format: "der", type: "spki" });
    const results = await batch(
      ["", KEY, "ES256"],
      ["a", Buffer.alloc(0), "ES256"],
      ["nobody", KEY, "ES256"],
      ["other", KEY, "ES256"],
      ["a", Buffer.from("?"), "ES256"],
      ["a", ed25519, "EdDSA"],
      ["a", KEY, "ES384"],
      ["a", KEY, "none"],
      ["a", RSA, "HS256"],
      ["a", KEY, "ES256"],
    );
    const { INVALID_ARGUMENT, NOT_FOUND } = GrpcCode;
    expect(
      results.map(({ status, svid }) => [status?.code, status?.message.split(":")[0], svid !== undefined]),
    ).toEqual([
      [INVALID_ARGUMENT, "missing entry ID", false],
      [INVALID_ARGUMENT, "missing public key", false],
      [NOT_FOUND, "entry not found or not authorized", false],
      [NOT_FOUND, "entry not found or not authorized", false],
      [INVALID_ARGUMENT, "malformed public key", false],
      [INVALID_ARGUMENT, "malformed public key", false],
      [INVALID_ARGUMENT, "invalid signing algorithm or key type", false],
      [INVALID_ARGUMENT, "invalid signing algorithm or key type", false],
      [INVALID_ARGUMENT, "invalid signing algorithm or key type", false],
      [0, "OK", true],
    ]);
    expect(results[6]?.status?.message).toContain("unsupported signing algorithm for ec-p256 key: ES384");
    expect(results[8]?.status?.message).toContain("unsupported signing algorithm for RSA key: HS256");
  });

  test("has items, and no more than a burst where signing is limited", async () => {
    const { batch } = await setup(true, { rateLimit: { attestation: false, signing: true } });
    expect(await failure(batch())).toMatchObject({ code: GrpcCode.INVALID_ARGUMENT, details: "missing parameters" });
    const many = Array.from({ length: 501 }, (): [string, Uint8Array, string] => ["a", KEY, "ES256"]);
    expect(await failure(batch(...many))).toMatchObject({ code: GrpcCode.RESOURCE_EXHAUSTED });
  });
});

test("an administrator mints a token for any workload", async () => {
  const { server, now } = await setup();
  const mint = async (change: object = {}) => {
    const request = { id: { trustDomain: TD, path: "/m" }, publicKey: KEY, ttl: 90, signingAlgorithm: "ES256" };
    return (await call(server.admin, SVIDService.mintWitsvid, { ...request, ...change })).svid;
  };
  expect(decodeJwt((await mint())?.token ?? "")).toMatchObject({ sub: id("/m"), exp: now + 90 });
  const cases: [object, string][] = [
    [{ id: undefined }, "invalid SPIFFE ID: "],
    [{ id: { trustDomain: TD, path: "/spire/x" } }, "invalid SPIFFE ID: "],
    [{ ttl: -1 }, "ttl cannot be negative"],
    [{ publicKey: Buffer.alloc(0) }, "invalid public key: "],
    [{ signingAlgorithm: "" }, "invalid signing algorithm or key type: "],
  ];
  for (const [change, details] of cases) {
    const refused = await failure(mint(change));
    expect({ details, code: refused.code }).toEqual({ details, code: GrpcCode.INVALID_ARGUMENT });
    expect(refused.details).toContain(details);
  }
});

test("where WIT-SVIDs are not enabled, nobody gets one", async () => {
  const { server, batch } = await setup(false);
  const disabled = { code: GrpcCode.UNIMPLEMENTED, details: "WIT functionality is disabled" };
  expect(await failure(batch(["a", KEY, "ES256"]))).toMatchObject(disabled);
  expect(await failure(batch())).toMatchObject(disabled);
  const request = { id: { trustDomain: TD, path: "/m" }, publicKey: KEY, ttl: 0, signingAlgorithm: "ES256" };
  expect(await failure(call(server.admin, SVIDService.mintWitsvid, request))).toMatchObject(disabled);
});
