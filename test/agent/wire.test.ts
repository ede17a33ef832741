/** What the agent makes of the server's messages, well-formed and not. */
import { generateKeyPairSync } from "node:crypto";
import { Metadata, status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { fromServiceError, retryAfterMs } from "../../src/agent/server-client-errors.ts";
import { toAuthorizedEntry, toChain, toTrustBundle } from "../../src/agent/wire.ts";
import { RetryInfo } from "../../src/gen/google/rpc/error_details.ts";
import { Status } from "../../src/gen/google/rpc/status.ts";
import { Bundle } from "../../src/gen/spire/api/types/bundle.ts";
import type { Entry } from "../../src/gen/spire/api/types/entry.ts";
import {
  PermissionDeniedDetails,
  PermissionDeniedDetails_Reason as Reason,
} from "../../src/gen/spire/api/types/status.ts";
import { AgentError } from "../../src/lib/errors.ts";
import type { TrustBundle } from "../../src/spiffe/bundle.ts";
import { parseTrustDomain } from "../../src/spiffe/id.ts";
import { fakeEntry } from "../fakes/spire-server.ts";
import { TestCa } from "../fakes/test-ca.ts";
import { RecordingLogger, TD } from "./harness.ts";

describe("entries", () => {
  const base = fakeEntry(TD, "e1", "/web", ["unix:uid:1", "unix:path:/bin/a:b"], {
    federatesWith: ["partner.org", "spiffe://friend.org"],
    hint: "front",
    revisionNumber: 3n,
    additionalAttributes: { disableX509SvidPrefetch: true, jwtSvidIncludeJti: true },
  });

  test("every field finds its place", () => {
    expect(toAuthorizedEntry(base, TD, new RecordingLogger())).toEqual({
      entryId: "e1",
      spiffeId: "spiffe://example.org/web",
      selectors: [
        { type: "unix", value: "uid:1" },
        { type: "unix", value: "path:/bin/a:b" },
      ],
      federatesWith: ["partner.org", "friend.org"],
      admin: false,
      downstream: false,
      storeSvid: false,
      hint: "front",
      createdAt: 1_700_000_000,
      revision: 3n,
      disableX509SvidPrefetch: true,
      jwtSvidIncludeJti: true,
    });
  });

  test.each<[string, Partial<Entry>]>([
    ["no ID", { id: "" }],
    ["an ID with a line break", { id: "a\nb" }],
    ["an endless ID", { id: "a".repeat(256) }],
    ["no SPIFFE ID", { spiffeId: undefined }],
    ["no path to speak of", { spiffeId: { trustDomain: TD, path: "/a/" } }],
    ["no path", { spiffeId: { trustDomain: TD, path: "" } }],
    ["another trust domain", { spiffeId: { trustDomain: "other.org", path: "/web" } }],
    ["a reserved ID", { spiffeId: { trustDomain: TD, path: "/spire/agent/x" } }],
    ["no selectors", { selectors: [] }],
    ["an empty selector", { selectors: [{ type: "unix", value: "" }] }],
    ["too many selectors", { selectors: Array.from({ length: 1_001 }, (_, i) => ({ type: "a", value: `${i}` })) }],
    ["too many friends", { federatesWith: Array.from({ length: 1_001 }, (_, i) => `d${i}.org`) }],
  ])("%s: left out, with a line in the log", (_name, change) => {
    const log = new RecordingLogger();
    expect(toAuthorizedEntry({ ...base, ...change }, TD, log)).toBeUndefined();
    expect(log.lines).toHaveLength(1);
  });

  test("a bad federated trust domain costs that, a bad hint the hint, a bad date the date (API-34)", () => {
    const log = new RecordingLogger();
    const change = { federatesWith: ["No!", "partner.org"], hint: "x".repeat(2_000), createdAt: 2n ** 62n };
    const entry = toAuthorizedEntry({ ...base, ...change }, TD, log);
    expect(entry).toMatchObject({ federatesWith: ["partner.org"], hint: "", createdAt: 0 });
    expect(log.text).toContain("federated");
  });
});

describe("bundles", () => {
  const spki = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ format: "der", type: "spki" });
  const tiny = generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey.export({ format: "der", type: "spki" });
  const key = { publicKey: spki, keyId: "k", expiresAt: 5n, tainted: true };

  test("authorities that do not parse are left out, the others kept with their state", async () => {
    const ca = await TestCa.create(TD);
    const log = new RecordingLogger();
    const asn1 = Buffer.from(ca.certificate);
    const message = Bundle.fromPartial({
      trustDomain: "spiffe://example.org",
      x509Authorities: [
        { asn1: Buffer.from([1, 2, 3]) },
        { asn1, tainted: true },
        { asn1: Buffer.concat([asn1, asn1]) },
      ],
      jwtAuthorities: [key, { ...key, keyId: "" }, { ...key, publicKey: tiny }],
      witAuthorities: [key],
      refreshHint: -5n,
      sequenceNumber: 9n,
    });
    const bundle = toTrustBundle(message, TD, log);
    expect(bundle.x509Authorities).toEqual([{ certificate: ca.certificate, tainted: true }]);
    expect(bundle.jwtAuthorities).toEqual([
      { keyId: "k", publicKey: new Uint8Array(spki), expiresAt: 5, tainted: true },
    ]);
    expect(bundle.witAuthorities).toHaveLength(1);
    expect(bundle).toMatchObject({ refreshHint: 0, sequence: 9n });
    expect(log.lines).toHaveLength(4);
  });

  test("what is known already is not read again, what changed is", async () => {
    const log = new RecordingLogger();
    const [first, second] = [await TestCa.create(TD), await TestCa.create(TD)];
    const asn1 = Buffer.from(first.certificate);
    const before = Bundle.fromPartial({ trustDomain: TD, x509Authorities: [{ asn1 }], jwtAuthorities: [key] });
    const known = toTrustBundle(before, TD, log);
    const next = (change: object): TrustBundle =>
      toTrustBundle(Bundle.fromPartial({ ...before, ...change }), TD, log, known);
    const added = next({
      x509Authorities: [{ asn1: Buffer.from(second.certificate) }, { asn1 }],
      witAuthorities: [key],
    });
    expect(added.x509Authorities[0]).toEqual({ certificate: second.certificate, tainted: false });
    expect(added.x509Authorities[1]).toBe(known.x509Authorities[0]);
    expect(added.jwtAuthorities[0]).toBe(known.jwtAuthorities[0]);
    expect(added.witAuthorities[0]).not.toBe(known.jwtAuthorities[0]);
    const tainted = next({ x509Authorities: [{ asn1, tainted: true }] });
    expect(tainted.x509Authorities).toEqual([{ certificate: first.certificate, tainted: true }]);
    const otherKey = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({
      format: "der",
      type: "spki",
    });
    for (const change of [{ tainted: false }, { expiresAt: 6n }, { publicKey: otherKey }]) {
      const changed = { ...key, ...change };
      const expected = {
        ...changed,
        publicKey: new Uint8Array(changed.publicKey),
        expiresAt: Number(changed.expiresAt),
      };
      expect(next({ jwtAuthorities: [changed] }).jwtAuthorities).toEqual([expected]);
    }
    expect(next({ jwtAuthorities: [{ ...key, publicKey: tiny }] }).jwtAuthorities).toEqual([]);
  });

  test("of another trust domain, or too large, is refused (BDL-01)", () => {
    const log = new RecordingLogger();
    const other = Bundle.fromPartial({ trustDomain: "other.org" });
    expect(() => toTrustBundle(other, TD, log)).toThrow(AgentError);
    const large = Bundle.fromPartial({ trustDomain: TD, jwtAuthorities: Array.from({ length: 1_001 }, () => key) });
    expect(() => toTrustBundle(large, TD, log)).toThrow("too many");
    expect(() => toTrustBundle(Bundle.fromPartial({ trustDomain: "" }), TD, log)).toThrow(AgentError);
    expect(parseTrustDomain("other.org")).toBe("other.org");
  });
});

describe("chains", () => {
  const svid = (certChain: Buffer[]) => ({ certChain, id: undefined, expiresAt: 0n, hint: "" });
  test.each([
    ["nothing", undefined],
    ["no certificate", svid([])],
    ["an empty one", svid([Buffer.alloc(0)])],
    ["a huge one", svid([Buffer.alloc(70_000)])],
    ["too many", svid(Array.from({ length: 11 }, () => Buffer.alloc(5)))],
  ])("%s is refused", (_name, message) => {
    expect(() => toChain(message)).toThrow(AgentError);
  });

  test("keeps its own copy of the bytes", () => {
    const message = Buffer.from([1, 2, 3, 4]);
    const [copy] = toChain(svid([message.subarray(1, 3)]));
    message.fill(0);
    expect(copy).toEqual(new Uint8Array([2, 3]));
  });
});

describe("errors", () => {
  const serviceError = (code: number, details: { typeUrl: string; value: Uint8Array }[] = [], raw?: Buffer) => {
    const metadata = new Metadata();
    const any = details.map(({ typeUrl, value }) => ({ typeUrl, value: Buffer.from(value) }));
    const bytes = raw ?? Buffer.from(Status.encode({ code, message: "m", details: any }).finish());
    metadata.set("grpc-status-details-bin", bytes);
    return Object.assign(new Error("7 PERMISSION_DENIED: m"), { code, details: "m", metadata });
  };
  const reason = (value: Reason, code: number = status.PERMISSION_DENIED) =>
    serviceError(code, [
      {
        typeUrl: "type.googleapis.com/spire.api.types.PermissionDeniedDetails",
        value: PermissionDeniedDetails.encode({ reason: value }).finish(),
      },
    ]);

  test.each([
    [Reason.AGENT_BANNED, "stop-serving"],
    [Reason.AGENT_EXPIRED, "reattest"],
    [Reason.AGENT_NOT_ACTIVE, "reattest"],
    [Reason.AGENT_NOT_ATTESTED, "reattest"],
    [Reason.AGENT_MUST_REATTEST, "reattest"],
    [Reason.UNKNOWN, "retry"],
    [99 as Reason, "retry"],
  ])("reason %i means %s", (value, recovery) => {
    expect(fromServiceError(reason(value), "Call", undefined)).toMatchObject({ code: "PERMISSION_DENIED", recovery });
  });

  test("a reason counts with PERMISSION_DENIED only; details that do not decode count as absent", () => {
    expect(fromServiceError(reason(Reason.AGENT_BANNED, status.INTERNAL), "Call", undefined).recovery).toBe("retry");
    const garbage = serviceError(status.PERMISSION_DENIED, [], Buffer.from([0xff, 0xff, 0xff]));
    expect(fromServiceError(garbage, "Call", undefined)).toMatchObject({
      code: "PERMISSION_DENIED",
      recovery: "retry",
    });
    const bare = Object.assign(new Error("x"), { code: status.PERMISSION_DENIED, details: "x" });
    expect(fromServiceError(bare, "Call", undefined).recovery).toBe("retry");
  });

  test("a hint to wait is read and bounded", () => {
    const hint = (seconds: bigint, nanos = 0) =>
      serviceError(status.RESOURCE_EXHAUSTED, [
        {
          typeUrl: "type.googleapis.com/google.rpc.RetryInfo",
          value: RetryInfo.encode({ retryDelay: { seconds, nanos } }).finish(),
        },
      ]);
    expect(retryAfterMs(fromServiceError(hint(2n, 500_000_000), "Call", undefined))).toBe(2_500);
    expect(retryAfterMs(fromServiceError(hint(86_400n), "Call", undefined))).toBe(60_000);
    expect(retryAfterMs(fromServiceError(hint(-5n), "Call", undefined))).toBe(0);
    expect(retryAfterMs(new Error("x"))).toBe(0);
  });

  test("why the connection failed says more than that it did", () => {
    const refused = new AgentError("UNTRUSTED", "the server is somebody else");
    const error = fromServiceError(serviceError(status.UNAVAILABLE), "Call", refused);
    expect(error).toMatchObject({ code: "UNTRUSTED", recovery: "retry", cause: refused });
    expect(fromServiceError(serviceError(status.INTERNAL), "Call", refused).code).toBe("INTERNAL");
  });

  test("of a failed connection only the cause is told, not the wrapping", () => {
    const details =
      "round_robin: No connection established. Last error: No connection established. Last error: Error: connect ECONNREFUSED 127.0.0.1:1 (2026-11-22T10:30:49.138Z). Resolution note: ";
    const error = Object.assign(new Error(), { code: status.UNAVAILABLE, details });
    const { message } = fromServiceError(error, "Call", undefined);
    expect(message).toBe("Call: Unavailable: Error: connect ECONNREFUSED 127.0.0.1:1");
  });

  test("the server's text is one bounded line; what is no status is a fault", () => {
    const error = Object.assign(new Error(), { code: status.INTERNAL, details: `a\nb\x1b[31m${"x".repeat(900)}` });
    const { message } = fromServiceError(error, "Call", undefined);
    expect(message).toMatch(/^[\x20-\x7e]+$/);
    expect(message.length).toBeLessThan(600);
    expect(fromServiceError("odd", "Call", undefined).code).toBe("INTERNAL");
  });
});
