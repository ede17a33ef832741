import { describe, expect, test } from "vitest";
import { BundleService } from "../../../src/gen/spire/api/server/bundle/v1/bundle.ts";
import { SVIDService } from "../../../src/gen/spire/api/server/svid/v1/svid.ts";
import type { X509SVID } from "../../../src/gen/spire/api/types/x509svid.ts";
import { GrpcCode } from "../../../src/lib/grpc-status.ts";
import { parseCertificate } from "../../../src/pki/certificate.ts";
import { createCsr } from "../../../src/pki/csr.ts";
import { generateKey, spkiOf } from "../../../src/pki/keys.ts";
import { validateX509Svid } from "../../../src/pki/validate.ts";
import { entry, id, TD } from "../../fakes/entries.ts";
import { ecKey, ext, extensionRequest, makeCsr } from "../../pki/make.ts";
import { call, failure, mintSvid, newAgent, startServer, type TestServer } from "../harness.ts";

type CsrOptions = Omit<Parameters<typeof createCsr>[0], "privateKey">;

async function csrOf(options: CsrOptions = {}) {
  const privateKey = await generateKey("ec-p256");
  return { csr: await createCsr({ privateKey, ...options }), spki: spkiOf(privateKey) };
}

/** The last bytes are the signature's. */
function forged(csr: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(csr);
  copy[copy.length - 1] = (copy.at(-1) ?? 0) ^ 1;
  return copy;
}

/** The leaf, if the chain holds against the stored bundle. */
async function leafOf(server: TestServer, svid: X509SVID | undefined) {
  if (svid?.id === undefined) throw new Error("no SVID");
  const authorities = (await server.store.bundles.get(TD))?.x509Authorities ?? [];
  const expectedId = id(svid.id.path);
  const roots = authorities.map(({ certificate }) => certificate);
  const { leaf } = validateX509Svid(svid.certChain, roots, { now: server.clock.now(), expectedId });
  expect(svid.expiresAt).toBe(BigInt(leaf.notAfter / 1000));
  return leaf;
}

describe("a batch", () => {
  async function setup() {
    const server = await startServer();
    const agent = await newAgent(server);
    const { agentId: parentId } = agent;
    await server.store.entries.create(entry("a", { parentId, x509SvidTtl: 600, dnsNames: ["a.example.org", "b"] }));
    await server.store.entries.create(entry("b", { parentId, hint: "h" }));
    await server.store.entries.create(entry("other", { parentId: id("/spire/agent/test/other") }));
    const batch = async (...params: { entryId: string; csr: Uint8Array }[]) =>
      (await call(agent.client, SVIDService.batchNewX509Svid, { params })).results;
    return { server, ...agent, batch };
  }

  test("gives each entry's SVID for the key of its request", async () => {
    const { server, batch } = await setup();
    const [one, two] = [await csrOf({ spiffeId: id("/ignored"), dnsNames: ["ignored"] }), await csrOf()];
    const results = await batch({ entryId: "a", csr: one.csr }, { entryId: "b", csr: two.csr });
    expect(results.map(({ status }) => status)).toEqual([
      { code: 0, message: "OK" },
      { code: 0, message: "OK" },
    ]);
    const a = await leafOf(server, results[0]?.svid);
    expect(a.uriSans).toEqual([id("/a")]);
    expect(a.dnsSans).toEqual(["a.example.org", "b"]);
    expect(a.subject.text).toContain("a.example.org");
    expect(a.notAfter).toBe(Math.floor((server.clock.now() + 600_000) / 1000) * 1000);
    expect(Buffer.from(a.spki)).toEqual(Buffer.from(one.spki));
    const b = await leafOf(server, results[1]?.svid);
    expect(b.uriSans).toEqual([id("/b")]);
    expect(b.notAfter).toBe(Math.floor((server.clock.now() + 6 * 3_600_000) / 1000) * 1000);
    expect(results[1]?.svid?.hint).toBe("");
  });

  test("has an outcome per item", async () => {
    const { batch } = await setup();
    const { csr } = await csrOf();
    const results = await batch(
      { entryId: "", csr },
      { entryId: "a", csr: Buffer.alloc(0) },
      { entryId: "nobody", csr },
      { entryId: "other", csr },
      { entryId: "a", csr: Buffer.from("?") },
      { entryId: "a", csr: forged(csr) },
      { entryId: "a", csr },
    );
    const { INVALID_ARGUMENT, NOT_FOUND } = GrpcCode;
    expect(results.map(({ status }) => [status?.code, status?.message.split(":")[0]])).toEqual([
      [INVALID_ARGUMENT, "missing entry ID"],
      [INVALID_ARGUMENT, "missing CSR"],
      [NOT_FOUND, "entry not found or not authorized"],
      [NOT_FOUND, "entry not found or not authorized"],
      [INVALID_ARGUMENT, "malformed CSR"],
      [INVALID_ARGUMENT, "invalid CSR signature"],
      [0, "OK"],
    ]);
    expect(results.map(({ svid }) => svid !== undefined)).toEqual([false, false, false, false, false, false, true]);
  });

  test("must have items", async () => {
    const { client } = await setup();
    expect(await failure(call(client, SVIDService.batchNewX509Svid, { params: [] }))).toMatchObject({
      code: GrpcCode.INVALID_ARGUMENT,
      details: "missing parameters",
    });
  });

  test("of more than a burst is refused where signing is limited", async () => {
    const server = await startServer({ options: { rateLimit: { attestation: false, signing: true } } });
    const { client } = await newAgent(server);
    const params = Array.from({ length: 501 }, () => ({ entryId: "a", csr: Buffer.from("x") }));
    expect(await failure(call(client, SVIDService.batchNewX509Svid, { params }))).toMatchObject({
      code: GrpcCode.RESOURCE_EXHAUSTED,
      details: "rate (501) exceeds burst size (500)",
      types: [],
    });
    expect((await call(client, SVIDService.batchNewX509Svid, { params: params.slice(1) })).results).toHaveLength(500);
    // These wait for tokens, one second each, on a clock that stands still; they end with the server.
    for (let waiting = 0; waiting < 6; waiting++) {
      call(client, SVIDService.batchNewX509Svid, { params: params.slice(1) }, 60_000).catch(() => {});
    }
    // The tokens come too late for this caller, which is told at once, and when to come again.
    const late = await failure(call(client, SVIDService.batchNewX509Svid, { params: params.slice(1) }, 5_000));
    expect(late).toMatchObject({
      code: GrpcCode.RESOURCE_EXHAUSTED,
      types: ["type.googleapis.com/google.rpc.RetryInfo"],
    });
  });
});

describe("minting", () => {
  async function mint(server: TestServer, csr: Uint8Array, ttl = 0) {
    return (await call(server.admin, SVIDService.mintX509Svid, { csr, ttl })).svid;
  }

  test("honours what the request says (X509-01, X509-03)", async () => {
    const server = await startServer();
    const subject = { country: ["SE"], organization: ["ACME"], commonName: "me" };
    const { csr, spki } = await csrOf({ spiffeId: id("/minted"), dnsNames: ["a.org", "*.b.org"], subject });
    const leaf = await leafOf(server, await mint(server, csr, 60));
    expect(leaf.uriSans).toEqual([id("/minted")]);
    expect(leaf.dnsSans).toEqual(["a.org", "*.b.org"]);
    expect(leaf.subject.text).toBe(parseCertificate(leaf.der).subject.text);
    expect(leaf.subject.text).toContain("ACME");
    expect(leaf.notAfter).toBe(Math.floor((server.clock.now() + 60_000) / 1000) * 1000);
    expect(Buffer.from(leaf.spki)).toEqual(Buffer.from(spki));
  });

  test("is refused for a request that breaks a rule", async () => {
    const server = await startServer();
    const good = (await csrOf({ spiffeId: id("/minted") })).csr;
    const cases: [Uint8Array, number, string][] = [
      [Buffer.alloc(0), 0, "missing CSR"],
      [Buffer.from("?"), 0, "malformed CSR: "],
      [forged(good), 0, "failed to verify CSR signature: "],
      [(await csrOf()).csr, 0, "CSR URI SAN is required"],
      // X509-01
      [makeCsr(ecKey(), [extensionRequest(ext.uri(id("/minted"), id("/other")))]), 0, "only one URI SAN is expected"],
      [(await csrOf({ spiffeId: id("/spire/server") })).csr, 0, "CSR URI SAN is invalid: "],
      [(await csrOf({ spiffeId: id("/spire/agent/a/b") })).csr, 0, "CSR URI SAN is invalid: "],
      [(await csrOf({ spiffeId: "spiffe://other.org/x" as never })).csr, 0, "CSR URI SAN is invalid: "],
      // X509-04
      [(await csrOf({ spiffeId: id("") })).csr, 0, "CSR URI SAN is invalid: "],
      [(await csrOf({ spiffeId: id("/m"), dnsNames: ["a b"] })).csr, 0, "CSR DNS name is invalid: "],
      [(await csrOf({ spiffeId: id("/m"), dnsNames: ["a.b", "*.b"] })).csr, 0, "CSR DNS name contains a wildcard"],
      [good, -1, "ttl cannot be negative"],
    ];
    for (const [csr, ttl, why] of cases) {
      const refused = await failure(mint(server, csr, ttl));
      expect({ why, code: refused.code }).toEqual({ why, code: GrpcCode.INVALID_ARGUMENT });
      expect(refused.details).toContain(why);
    }
  });
});

test("what is not built says so, to those who might call it", async () => {
  const server = await startServer();
  const publish = { jwtAuthority: undefined };
  await server.store.entries.create(entry("d", { spiffeId: id("/downstream"), downstream: true }));
  const client = await server.connect(await mintSvid(server, id("/downstream")));
  const { publishJwtAuthority } = BundleService;
  expect((await failure(call(client, publishJwtAuthority, publish))).code).toBe(GrpcCode.UNIMPLEMENTED);
  expect((await failure(call(server.admin, publishJwtAuthority, publish))).code).toBe(GrpcCode.PERMISSION_DENIED);
});
