import { X509Certificate } from "node:crypto";
import { describe, expect, test } from "vitest";
import { silentLogger } from "../../../src/lib/log.ts";
import { WatchableValue } from "../../../src/lib/watchable.ts";
import { parseCertificate } from "../../../src/pki/certificate.ts";
import { generateKey, type KeyType, spkiOf } from "../../../src/pki/keys.ts";
import { validateX509Svid } from "../../../src/pki/validate.ts";
import { SvidIssuer } from "../../../src/server/ca/issuer.ts";
import { ServerSvid } from "../../../src/server/ca/server-svid.ts";
import { parseSpiffeId } from "../../../src/spiffe/id.ts";
import { activateNext, readyCa, seededRandom } from "../../fakes/ca.ts";
import { id, TD } from "../../fakes/entries.ts";

const HOUR = 60 * 60 * 1000;
const AGENT = id("/spire/agent/test/one");

async function issuing(keyType: KeyType = "ec-p256") {
  const { ca, deps } = await readyCa({ keyType });
  const issuer = new SvidIssuer({
    active: ca.x509.active,
    clock: deps.clock,
    random: seededRandom(),
    trustDomain: TD,
    x509SvidTtlMs: 6 * HOUR,
    agentTtlMs: 8 * HOUR,
  });
  const spki = spkiOf(await generateKey("ec-p256"));
  const roots = [ca.x509.active.value!.ca.certificate];
  return { ca, deps, issuer, spki, roots, clock: deps.clock };
}

describe("an issued SVID", () => {
  test.each<KeyType>(["ec-p256", "ec-p384", "rsa-2048"])("verifies below a CA of type %s", async (keyType) => {
    const { issuer, spki, roots, clock } = await issuing(keyType);
    const issued = await issuer.issueWorkloadSvid({ spiffeId: id("/w"), spki, dnsNames: ["a.org", "b.org"], ttl: 0 });
    const { spiffeId, leaf } = validateX509Svid(issued.chain, roots, { now: clock.now(), expectedId: id("/w") });
    expect(spiffeId).toBe(id("/w"));
    expect(leaf.dnsSans).toEqual(["a.org", "b.org"]);
    expect(leaf.subject.text).toContain("CN=a.org");
    expect(issued).toMatchObject({ notBefore: leaf.notBefore, notAfter: leaf.notAfter, serial: leaf.serial });
    expect(BigInt(`0x${new X509Certificate(issued.chain[0]!).serialNumber}`).toString()).toBe(issued.serial);
    expect(new X509Certificate(issued.chain[0]!).verify(new X509Certificate(roots[0]!).publicKey)).toBe(true);
  });

  test("lives as long as its kind, or its entry, says", async () => {
    const { issuer, spki, clock } = await issuing();
    const now = clock.now();
    const workload = { spiffeId: id("/w"), spki, dnsNames: [] };
    expect(await issuer.issueAgentSvid({ spiffeId: AGENT, spki })).toMatchObject({
      notBefore: now - 10_000,
      notAfter: now + 8 * HOUR,
    });
    expect((await issuer.issueWorkloadSvid({ ...workload, ttl: 0 })).notAfter).toBe(now + 6 * HOUR);
    expect((await issuer.issueWorkloadSvid({ ...workload, ttl: 60 })).notAfter).toBe(now + 60_000);
    expect((await issuer.issueServerSvid({ spki })).notAfter).toBe(now + 6 * HOUR);
  });

  test("never outlives its authority", async () => {
    const { issuer, spki, clock, ca, roots } = await issuing();
    await clock.advance(20 * HOUR);
    const issued = await issuer.issueWorkloadSvid({ spiffeId: id("/w"), spki, dnsNames: [], ttl: 100 * 3600 });
    expect(issued.notAfter).toBe(ca.x509.active.value!.notAfter);
    expect(() => validateX509Svid(issued.chain, roots, { now: issued.notAfter + 1000 })).toThrow();
  });

  test("takes the given subject, and C=US O=SPIRE without one", async () => {
    const { issuer, spki } = await issuing();
    const request = { spiffeId: id("/w"), spki, dnsNames: [], ttl: 0 };
    const plain = await issuer.issueWorkloadSvid(request);
    expect(parseCertificate(plain.chain[0]!).subject.text).toBe("O=SPIRE,C=US");
    const named = await issuer.issueWorkloadSvid({ ...request, subject: { organization: ["Acme"] } });
    expect(parseCertificate(named.chain[0]!).subject.text).toBe("O=Acme");
    expect(named.serial).not.toBe(plain.serial);
  });

  test("is by the authority that is active at the moment", async () => {
    const { issuer, spki, ca, clock, roots } = await issuing();
    await ca.x509.prepare();
    const before = await issuer.issueServerSvid({ spki });
    await activateNext(ca);
    const after = await issuer.issueServerSvid({ spki });
    expect(before.authorityId).not.toBe(after.authorityId);
    expect(() => validateX509Svid(after.chain, roots, { now: clock.now() })).toThrow();
    validateX509Svid(after.chain, [ca.x509.active.value!.ca.certificate], { now: clock.now() });
    validateX509Svid(before.chain, roots, { now: clock.now() });
  });
});

describe("what is not signed", () => {
  test("IDs that are not of the kind or the trust domain", async () => {
    const { issuer, spki } = await issuing();
    const refused = { code: "INVALID_ARGUMENT" };
    const workload = (spiffeId: ReturnType<typeof id>) =>
      issuer.issueWorkloadSvid({ spiffeId, spki, dnsNames: [], ttl: 0 });
    await expect(issuer.issueAgentSvid({ spiffeId: id("/w"), spki })).rejects.toMatchObject(refused);
    await expect(workload(AGENT)).rejects.toMatchObject(refused);
    await expect(workload(id("/spire/server"))).rejects.toMatchObject(refused);
    await expect(workload(parseSpiffeId("spiffe://other.org/w"))).rejects.toMatchObject(refused);
    await expect(workload(parseSpiffeId("spiffe://example.org"))).rejects.toMatchObject(refused);
  });

  test("keys that are none, or too weak", async () => {
    const { issuer } = await issuing();
    const weak = spkiOf((await import("node:crypto")).generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey);
    for (const spki of [new Uint8Array([1, 2, 3]), weak]) {
      await expect(issuer.issueServerSvid({ spki })).rejects.toMatchObject({
        code: expect.stringMatching(/^(MALFORMED|UNTRUSTED)$/),
      });
    }
  });

  test("anything without a living authority", async () => {
    const { issuer, spki, clock, deps } = await issuing();
    await clock.advance(24 * HOUR);
    await expect(issuer.issueServerSvid({ spki })).rejects.toMatchObject({ code: "UNAVAILABLE" });
    const none = new SvidIssuer({
      active: new WatchableValue(undefined),
      clock,
      random: deps.random,
      trustDomain: TD,
      x509SvidTtlMs: HOUR,
      agentTtlMs: HOUR,
    });
    await expect(none.issueAgentSvid({ spiffeId: AGENT, spki })).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });
});

describe("the server's own SVID", { timeout: 60_000 }, () => {
  test("is renewed around half of its life, and when another authority signs", async () => {
    const { ca, issuer, clock, deps } = await issuing();
    const own = new ServerSvid({
      issuer,
      active: ca.x509.active,
      clock,
      random: deps.random,
      log: silentLogger,
      trustDomain: TD,
    });
    expect(own.svid.value).toBeUndefined();
    await own.initialize();
    const controller = new AbortController();
    const done = own.run(controller.signal);
    await clock.parked(1);
    const first = own.svid.value!;
    expect(first).toMatchObject({ spiffeId: id("/spire/server"), notAfter: clock.now() + 6 * HOUR });
    await clock.advance(2.6 * HOUR);
    expect(own.svid.value).toBe(first);
    await clock.advance(0.8 * HOUR);
    const second = own.svid.value!;
    expect(second.notAfter).toBeGreaterThan(first.notAfter);
    expect(spkiOf(second.privateKey)).not.toEqual(spkiOf(first.privateKey));
    await ca.x509.prepare();
    await activateNext(ca);
    await clock.advance(5_000);
    const third = own.svid.value!;
    expect(third).not.toBe(second);
    validateX509Svid(third.chain, [ca.x509.active.value!.ca.certificate], { now: clock.now() });
    controller.abort();
    await done;
  });

  test("stays as it is while it cannot be renewed", async () => {
    const { ca, issuer, clock, deps } = await issuing();
    let broken = false;
    const failing = {
      issueServerSvid: (request: { readonly spki: Uint8Array }) =>
        broken ? Promise.reject(new Error("no")) : issuer.issueServerSvid(request),
    };
    const own = new ServerSvid({
      issuer: failing,
      active: ca.x509.active,
      clock,
      random: deps.random,
      log: silentLogger,
      trustDomain: TD,
    });
    const controller = new AbortController();
    const done = own.run(controller.signal);
    await clock.parked(1);
    const first = own.svid.value;
    broken = true;
    await clock.advance(4 * HOUR);
    expect(own.svid.value).toBe(first);
    broken = false;
    await clock.advance(5_000);
    expect(own.svid.value).not.toBe(first);
    controller.abort();
    await done;
  });
});
