import { describe, expect, test } from "vitest";
import {
  type AuthorityState,
  LocalAuthorityService as Service,
} from "../../../src/gen/spire/api/server/localauthority/v1/localauthority.ts";
import { GrpcCode } from "../../../src/lib/grpc-status.ts";
import { generateKey, spkiOf } from "../../../src/pki/keys.ts";
import { X509_PART } from "../../../src/server/ca/bundle-marks.ts";
import { entry, id, TD } from "../../fakes/entries.ts";
import { call, failure, mintSvid, startServer, type TestServer } from "../harness.ts";

const METHODS = {
  x509: {
    show: Service.getX509AuthorityState,
    prepare: Service.prepareX509Authority,
    activate: Service.activateX509Authority,
    taint: Service.taintX509Authority,
    revoke: Service.revokeX509Authority,
  },
  jwt: {
    show: Service.getJwtAuthorityState,
    prepare: Service.prepareJwtAuthority,
    activate: Service.activateJwtAuthority,
    taint: Service.taintJwtAuthority,
    revoke: Service.revokeJwtAuthority,
  },
  wit: {
    show: Service.getWitAuthorityState,
    prepare: Service.prepareWitAuthority,
    activate: Service.activateWitAuthority,
    taint: Service.taintWitAuthority,
    revoke: Service.revokeWitAuthority,
  },
} as const;
type Kind = keyof typeof METHODS;
const WORD = { x509: "X.509", jwt: "JWT", wit: "WIT" } as const;

function steps(server: TestServer, kind: Kind) {
  // The messages of the kinds have the same fields.
  const { show, prepare, activate, taint, revoke } = METHODS[kind] as (typeof METHODS)["x509"];
  return {
    show: () => call(server.admin, show, {}),
    prepare: async () => (await call(server.admin, prepare, {})).preparedAuthority!,
    activate: async (authorityId: string) => (await call(server.admin, activate, { authorityId })).activatedAuthority!,
    taint: async (authorityId: string) => (await call(server.admin, taint, { authorityId })).taintedAuthority!,
    revoke: async (authorityId: string) => (await call(server.admin, revoke, { authorityId })).revokedAuthority!,
  };
}

/** What the stored bundle has of the kind. */
async function published(server: TestServer, kind: Kind): Promise<[string, boolean][]> {
  const bundle = (await server.store.bundles.get(TD))!;
  if (kind === "x509") return bundle.x509Authorities.map((each) => [X509_PART.idOf(each), each.tainted]);
  const keys = kind === "jwt" ? bundle.jwtAuthorities : bundle.witAuthorities;
  return keys.map(({ keyId, tainted }) => [keyId, tainted]);
}

async function setup(kind: Kind) {
  const server = await startServer({ ca: { witKeyType: "ec-p256" }, options: { auditLog: true } });
  const { active } = await steps(server, kind).show();
  if (active === undefined) throw new Error("nothing is active");
  return { server, ...steps(server, kind), first: active };
}

describe.each<Kind>(["x509", "jwt", "wit"])("authorities of kind %s", (kind) => {
  test("are prepared, activated, tainted and revoked", async () => {
    const { server, first, ...step } = await setup(kind);
    const one = first.authorityId;
    const sequence = async () => (await server.store.bundles.get(TD))!.sequence;
    const before = (await server.store.bundles.set({ ...(await server.store.bundles.get(TD))!, refreshHint: 60 }))
      .sequence;
    expect(await step.show()).toEqual({ active: first, prepared: undefined, old: undefined });
    await server.clock.advance(60_000);
    const second = await step.prepare();
    const two = second.authorityId;
    expect(second.expiresAt).toBe(first.expiresAt + 60n);
    expect(await published(server, kind)).toEqual([
      [one, false],
      [two, false],
    ]);
    expect(await step.activate(two)).toEqual(second);
    expect(await step.show()).toEqual({ active: second, prepared: undefined, old: first });
    expect(await step.taint(one)).toEqual(first);
    expect(await published(server, kind)).toEqual([
      [one, true],
      [two, false],
    ]);
    expect(await step.show()).toEqual({ active: second, prepared: undefined, old: first });
    expect(await step.revoke(one)).toEqual(first);
    expect(await published(server, kind)).toEqual([[two, false]]);
    expect(await step.show()).toEqual({ active: second, prepared: undefined, old: undefined });
    // One for each of prepare, taint and revoke.
    expect(await sequence()).toBe(before + 3n);
    // Of a server that gave none, or another: the hint comes with the next authority.
    expect((await server.store.bundles.get(TD))?.refreshHint).toBe(300);
  });

  test("go one way only", async () => {
    const { first, ...step } = await setup(kind);
    const one = first.authorityId;
    const { INVALID_ARGUMENT, INTERNAL } = GrpcCode;
    const refused = async (promise: Promise<AuthorityState>, code: number, details: string): Promise<void> => {
      expect(await failure(promise)).toMatchObject({ code, details });
    };
    await refused(step.activate(""), INVALID_ARGUMENT, "no authority ID provided");
    await refused(step.activate("other"), INVALID_ARGUMENT, "unexpected authority ID");
    await refused(step.activate(one), INVALID_ARGUMENT, "unexpected authority ID");
    await refused(step.taint(""), INVALID_ARGUMENT, "no authority ID provided");
    await refused(step.taint(one), INVALID_ARGUMENT, "unable to taint current local authority");
    await refused(step.taint("other"), INVALID_ARGUMENT, "unexpected authority ID");
    await refused(step.revoke(""), INVALID_ARGUMENT, "invalid authority ID: no authority ID provided");
    await refused(step.revoke(one), INVALID_ARGUMENT, "invalid authority ID: unable to use current authority");
    const two = (await step.prepare()).authorityId;
    const onlyOld = "only Old local authorities can be tainted: unsupported local authority status: PREPARED";
    await refused(step.taint(two), INVALID_ARGUMENT, onlyOld);
    const word = WORD[kind];
    const isCa = kind === "x509";
    const prepared = isCa ? "only Old local authority can be revoked" : "unable to use a prepared key";
    await refused(step.revoke(two), INVALID_ARGUMENT, `invalid authority ID: ${prepared}`);
    const unknown = isCa
      ? "only Old local authority can be revoked"
      : `no ${word} authority found with provided authority ID`;
    await refused(step.revoke("other"), INVALID_ARGUMENT, `invalid authority ID: ${unknown}`);
    await step.activate(two);
    await refused(
      step.activate(one),
      INTERNAL,
      "only Prepared authorities can be activated: unsupported local authority status: OLD",
    );
    const untainted = `it is not possible to revoke an untainted ${isCa ? "root CA" : "key"}`;
    await refused(step.revoke(one), INTERNAL, `failed to revoke ${word} authority: ${untainted}`);
    await step.taint(one);
    const tainted = `${isCa ? "root CA" : "key"} is already tainted`;
    await refused(step.taint(one), INTERNAL, `failed to taint ${word} authority: ${tainted}`);
  });

  test("can be tainted and revoked when the next one is prepared already", async () => {
    const { server, first, ...step } = await setup(kind);
    const { authorityId } = await step.activate((await step.prepare()).authorityId);
    const third = await step.prepare();
    expect(await step.show()).toMatchObject({ old: first, prepared: third });
    await step.taint(first.authorityId);
    await step.revoke(first.authorityId);
    expect((await published(server, kind)).map(([each]) => each)).toEqual([authorityId, third.authorityId]);
  });

  test("leave their mark in the audit log", async () => {
    const { server, first, ...step } = await setup(kind);
    await step.activate((await step.prepare()).authorityId);
    await step.taint(first.authorityId);
    const line = server.lines.findLast(({ fields }) => fields.type === "audit");
    expect(line?.fields).toMatchObject({
      service: "localauthority.v1.LocalAuthority",
      local_authority_id: first.authorityId,
      status: "success",
    });
  });
});

test("a key of another server is revoked once it is tainted", async () => {
  const { server, ...step } = await setup("jwt");
  const publicKey = spkiOf(await generateKey("ec-p256"));
  const stored = (await server.store.bundles.get(TD))!;
  const foreign = { keyId: "foreign", publicKey, expiresAt: 0, tainted: true };
  await server.store.bundles.set({ ...stored, jwtAuthorities: [...stored.jwtAuthorities, foreign] });
  expect(await step.revoke("foreign")).toMatchObject({ authorityId: "foreign" });
  expect((await server.store.bundles.get(TD))?.jwtAuthorities).toEqual(stored.jwtAuthorities);
});

test("what is disabled is not there, and there is no upstream authority", async () => {
  const server = await startServer({ ca: { jwtKeyType: undefined } as never });
  for (const kind of ["jwt", "wit"] as const) {
    const { show, prepare, activate, taint, revoke } = steps(server, kind);
    for (const promise of [show(), prepare(), activate("x"), taint("x"), revoke("x")]) {
      expect(await failure(promise)).toMatchObject({
        code: GrpcCode.UNIMPLEMENTED,
        details: `${WORD[kind]} functionality is disabled`,
      });
    }
  }
  for (const method of [Service.taintX509UpstreamAuthority, Service.revokeX509UpstreamAuthority] as const) {
    expect(
      await failure(call(server.admin, method as typeof Service.taintX509UpstreamAuthority, { subjectKeyId: "x" })),
    ).toMatchObject({ code: GrpcCode.FAILED_PRECONDITION, details: "upstream authority is not configured" });
  }
});

test("an administrator reaches it by TLS, a workload does not", async () => {
  const server = await startServer();
  await server.store.entries.create(entry("admin", { spiffeId: id("/admin"), admin: true }));
  await server.store.entries.create(entry("other", { spiffeId: id("/other") }));
  const admin = await server.connect(await mintSvid(server, id("/admin")));
  expect(await call(admin, Service.getX509AuthorityState, {})).toMatchObject({
    active: { authorityId: server.ca.x509.active.value?.authorityId },
  });
  const other = await server.connect(await mintSvid(server, id("/other")));
  expect((await failure(call(other, Service.prepareX509Authority, {}))).code).toBe(GrpcCode.PERMISSION_DENIED);
});

test("a certificate in the bundle that cannot be read is no obstacle", async () => {
  const { server, first, ...step } = await setup("x509");
  await step.activate((await step.prepare()).authorityId);
  const stored = (await server.store.bundles.get(TD))!;
  const odd = { certificate: new Uint8Array([1]) as never, tainted: false };
  await server.store.bundles.set({ ...stored, x509Authorities: [odd, ...stored.x509Authorities] });
  await step.taint(first.authorityId);
  await step.revoke(first.authorityId);
  expect((await server.store.bundles.get(TD))?.x509Authorities).toHaveLength(2);
});
