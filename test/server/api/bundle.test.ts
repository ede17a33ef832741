import { describe, expect, test } from "vitest";
import { BundleService } from "../../../src/gen/spire/api/server/bundle/v1/bundle.ts";
import { Bundle, BundleMask } from "../../../src/gen/spire/api/types/bundle.ts";
import { GrpcCode } from "../../../src/lib/grpc-status.ts";
import { generateKey, spkiOf } from "../../../src/pki/keys.ts";
import { parseTrustDomain } from "../../../src/spiffe/id.ts";
import { entry, id, TD } from "../../fakes/entries.ts";
import { call, failure, newAgent, startServer, type TestServer } from "../harness.ts";

const WHOLE = { outputMask: undefined };

/** Some CA certificate: that of another server. */
async function foreignRoot(): Promise<Uint8Array> {
  const other = await startServer();
  return new Uint8Array((await other.store.bundles.get(TD))?.x509Authorities[0]?.certificate ?? []);
}

async function foreign(change: Partial<Bundle> = {}): Promise<Bundle> {
  const x509Authorities = [{ asn1: await foreignRoot(), tainted: false }];
  return { ...Bundle.fromPartial({}), trustDomain: "other.org", x509Authorities, refreshHint: 60n, ...change };
}

async function set(server: TestServer, bundle: Bundle) {
  return (await call(server.admin, BundleService.batchSetFederatedBundle, { bundle: [bundle], ...WHOLE })).results[0];
}

describe("the trust domain's bundle", () => {
  test("is anybody's to read, with sequence and refresh hint (BDL-04, BDL-06)", async () => {
    const server = await startServer();
    const stored = await server.store.bundles.get(TD);
    for (const client of [server.admin, await server.connect(), (await newAgent(server)).client]) {
      const bundle = await call(client, BundleService.getBundle, WHOLE);
      expect(bundle.trustDomain).toBe("example.org");
      expect(bundle.sequenceNumber).toBe(stored?.sequence);
      expect(bundle.refreshHint).toBe(300n);
      expect(bundle.x509Authorities.map(({ asn1 }) => Buffer.from(asn1))).toEqual(
        stored?.x509Authorities.map(({ certificate }) => Buffer.from(certificate)),
      );
    }
    const outputMask = BundleMask.fromPartial({ sequenceNumber: true });
    expect(await call(server.admin, BundleService.getBundle, { outputMask })).toEqual({
      ...Bundle.fromPartial({}),
      trustDomain: "example.org",
      sequenceNumber: stored?.sequence,
    });
  });

  test("shows which authorities are tainted", async () => {
    const server = await startServer();
    const stored = await server.store.bundles.get(TD);
    if (stored === undefined) throw new Error("no bundle");
    const x509Authorities = stored.x509Authorities.map((authority) => ({ ...authority, tainted: true }));
    await server.store.bundles.set({ ...stored, x509Authorities });
    const { x509Authorities: told } = await call(server.admin, BundleService.getBundle, WHOLE);
    expect(told.map(({ tainted }) => tainted)).toEqual([true]);
  });

  test("grows by what the operator appends", async () => {
    const server = await startServer();
    const publicKey = spkiOf(await generateKey("ec-p256"));
    const request = {
      x509Authorities: [{ asn1: await foreignRoot(), tainted: true }],
      jwtAuthorities: [{ publicKey, keyId: "k", expiresAt: 5n, tainted: true }],
      witAuthorities: [],
      ...WHOLE,
    };
    const bundle = await call(server.admin, BundleService.appendBundle, request);
    expect(bundle.x509Authorities.map(({ tainted }) => tainted)).toEqual([false, false]);
    expect(bundle.jwtAuthorities).toMatchObject([{ tainted: false }, { keyId: "k", expiresAt: 5n, tainted: false }]);
    const empty = { x509Authorities: [], jwtAuthorities: [], witAuthorities: [], ...WHOLE };
    const refused = async (change: object): Promise<string> => {
      const error = await failure(call(server.admin, BundleService.appendBundle, { ...empty, ...change }));
      expect(error.code).toBe(GrpcCode.INVALID_ARGUMENT);
      return error.details;
    };
    expect(await refused({})).toBe("no authorities to append");
    expect(await refused({ x509Authorities: [{ asn1: Buffer.from("?"), tainted: false }] })).toContain(
      "failed to convert X.509 authority: ",
    );
    const key = { publicKey: Buffer.from("?"), keyId: "k", expiresAt: 0n, tainted: false };
    expect(await refused({ jwtAuthorities: [key] })).toContain("failed to convert JWT authority: malformed public key");
    expect(await refused({ jwtAuthorities: [{ ...key, publicKey, keyId: "" }] })).toContain("missing key ID");
    const twin = { ...key, publicKey: spkiOf(await generateKey("ec-p256")) };
    // Readers would have to guess which of the two is meant (JWT-14).
    expect(await refused({ jwtAuthorities: [{ ...key, publicKey }, twin] })).toContain('two keys with the ID "k"');
    const same = { ...empty, jwtAuthorities: [1, 2].map(() => ({ ...key, publicKey })) };
    expect((await call(server.admin, BundleService.appendBundle, same)).jwtAuthorities).toHaveLength(2);
    expect((await set(server, await foreign({ jwtAuthorities: [{ ...key, publicKey }, twin] })))?.status).toEqual({
      code: GrpcCode.INVALID_ARGUMENT,
      message: 'failed to convert bundle: unable to parse JWT authority: two keys with the ID "k"',
    });
  });
});

test("a JWT key under the ID of a WIT key is not taken into the bundle (WIT-22)", async () => {
  const server = await startServer({ ca: { witKeyType: "ec-p256" } });
  const keyId = server.ca.wit?.active.value?.authorityId ?? "";
  const publicKey = spkiOf(await generateKey("ec-p256"));
  const jwtAuthorities = [{ publicKey, keyId, expiresAt: 0n, tainted: false }];
  const request = { x509Authorities: [], jwtAuthorities, witAuthorities: [], ...WHOLE };
  const refused = await failure(call(server.admin, BundleService.appendBundle, request));
  expect(refused.code).toBe(GrpcCode.INVALID_ARGUMENT);
  expect(refused.details).toBe(`failed to append bundle: key ID ${JSON.stringify(keyId)} is that of a WIT authority`);
  expect((await server.store.bundles.get(TD))?.jwtAuthorities).toHaveLength(1);
});

describe("bundles of other trust domains", () => {
  test("are created, changed, read and listed", async () => {
    const server = await startServer();
    const one = await foreign();
    const create = async (bundle: Bundle) =>
      (await call(server.admin, BundleService.batchCreateFederatedBundle, { bundle: [bundle], ...WHOLE })).results[0];
    const created = await create(one);
    expect(created?.status).toEqual({ code: 0, message: "OK" });
    expect(created?.bundle).toMatchObject({ trustDomain: "other.org", refreshHint: 60n });
    expect((await create(one))?.status).toMatchObject({ code: GrpcCode.ALREADY_EXISTS });

    const update = async (bundle: Bundle, inputMask?: BundleMask) =>
      (await call(server.admin, BundleService.batchUpdateFederatedBundle, { bundle: [bundle], inputMask, ...WHOLE }))
        .results[0];
    const changed = await update(
      { ...one, x509Authorities: [], refreshHint: 5n },
      BundleMask.fromPartial({ refreshHint: true }),
    );
    expect(changed?.bundle).toMatchObject({ refreshHint: 5n, x509Authorities: [{}] });
    expect((await update({ ...one, trustDomain: "third.org" }))?.status?.code).toBe(GrpcCode.NOT_FOUND);

    await set(server, { ...one, trustDomain: "third.org" });
    expect(await call(server.admin, BundleService.countBundles, {})).toEqual({ count: 3 });
    const list = await call(server.admin, BundleService.listFederatedBundles, { ...WHOLE, pageSize: 0, pageToken: "" });
    expect(list.bundles.map(({ trustDomain }) => trustDomain).sort()).toEqual(["other.org", "third.org"]);

    const { client } = await newAgent(server);
    for (const reader of [server.admin, client]) {
      const got = await call(reader, BundleService.getFederatedBundle, { trustDomain: "spiffe://other.org", ...WHOLE });
      expect(got).toMatchObject({ trustDomain: "other.org", refreshHint: 5n });
    }
    const stranger = await server.connect();
    const refused = await failure(
      call(stranger, BundleService.getFederatedBundle, { trustDomain: "other.org", ...WHOLE }),
    );
    expect(refused.code).toBe(GrpcCode.PERMISSION_DENIED);
  });

  test("are not our own", async () => {
    const server = await startServer();
    const own = await foreign({ trustDomain: "example.org" });
    expect((await set(server, own))?.status).toEqual({
      code: GrpcCode.INVALID_ARGUMENT,
      message: "setting a federated bundle for the server's own trust domain is not allowed",
    });
    const get = (trustDomain: string) =>
      failure(call(server.admin, BundleService.getFederatedBundle, { trustDomain, ...WHOLE }));
    expect((await get("example.org")).code).toBe(GrpcCode.INVALID_ARGUMENT);
    expect((await get("Other")).details).toContain("trust domain argument is not valid: ");
    expect(await get("unknown.org")).toMatchObject({ code: GrpcCode.NOT_FOUND, details: "bundle not found" });
  });

  test("must be well formed", async () => {
    const server = await startServer();
    const status = async (change: Partial<Bundle>) => (await set(server, await foreign(change)))?.status;
    const wrong = [{ asn1: Buffer.from("?"), tainted: false }];
    expect(await status({ x509Authorities: wrong })).toMatchObject({
      code: GrpcCode.INVALID_ARGUMENT,
      message: expect.stringContaining("failed to convert bundle: unable to parse X.509 authority: ") as string,
    });
    expect((await status({ refreshHint: -1n }))?.code).toBe(GrpcCode.INVALID_ARGUMENT);
    expect((await status({ trustDomain: "" }))?.code).toBe(GrpcCode.INVALID_ARGUMENT);
  });

  test("go as the operator says, with the entries that need them (FED-26)", async () => {
    const server = await startServer();
    const other = parseTrustDomain("other.org");
    const remove = async (name: string, mode: number) => {
      const request = { trustDomains: [name], mode: mode as 0 };
      return (await call(server.admin, BundleService.batchDeleteFederatedBundle, request)).results[0];
    };
    await set(server, await foreign());
    await server.store.entries.create(entry("e", { spiffeId: id("/e"), federatesWith: [other] }));
    expect((await remove("other.org", 0))?.status?.code).toBe(GrpcCode.FAILED_PRECONDITION);
    expect(await remove("other.org", 2)).toEqual({ status: { code: 0, message: "OK" }, trustDomain: "other.org" });
    expect(await server.store.entries.get("e")).toMatchObject({ federatesWith: [] });
    expect((await remove("other.org", 2))?.status).toMatchObject({
      code: GrpcCode.NOT_FOUND,
      message: "bundle not found",
    });
    expect((await remove("example.org", 1))?.status?.code).toBe(GrpcCode.INVALID_ARGUMENT);
    expect((await failure(remove("other.org", 9))).code).toBe(GrpcCode.INVALID_ARGUMENT);
    await set(server, await foreign());
    await server.store.entries.update(entry("e", { spiffeId: id("/e"), federatesWith: [other] }));
    await remove("other.org", 1);
    expect(await server.store.entries.get("e")).toBeUndefined();
  });
});
