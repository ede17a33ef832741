import { describe, expect, test } from "vitest";
import { AgentError } from "../../src/lib/errors.ts";
import { GrpcCode, toGrpcStatus } from "../../src/lib/grpc-status.ts";
import type { LogFields } from "../../src/lib/log.ts";
import { type Metrics, noMetrics } from "../../src/lib/metrics.ts";
import { type BidiHandler, type Call, type Method, Reply } from "../../src/lib/rpc/transport.ts";
import { AuditLog } from "../../src/server/audit.ts";
import type { Authorized } from "../../src/server/authz.ts";
import { type CallLimits, DEFAULT_CALL_LIMITS } from "../../src/server/call-pools.ts";
import type { Caller } from "../../src/server/caller.ts";
import { Guard, type GuardDeps } from "../../src/server/guard.ts";
import { metricName } from "../../src/server/request-metrics.ts";
import type { RpcContext } from "../../src/server/rpc-context.ts";
import { id } from "../fakes/entries.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { type Line, recordingLogger } from "./harness.ts";

const METHOD = "/spire.api.server.agent.v1.Agent/BanAgent";
const LOCAL: Caller = { kind: "local" };
const STRANGER: Caller = { kind: "tls", address: "192.0.2.1", port: 9 };
const AGENT: Caller = { ...STRANGER, svid: { spiffeId: id("/spire/agent/a/b"), serial: "1", notAfter: 0 } };
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

class FakeCall implements Call<Caller> {
  onDrain: (() => void) | null = null;
  onCancel: (() => void) | null = null;
  onClose: (() => void) | null = null;
  /** Whether the peer takes what it is sent. */
  reads = true;
  sent: string[] = [];
  ended: { code: number; message: string; details: Uint8Array | undefined } | undefined;
  readonly peer: Caller;
  readonly method = METHOD;

  constructor(peer: Caller) {
    this.peer = peer;
  }
  meta(): undefined {
    return undefined;
  }
  timeLeft(): number {
    return 1_000;
  }
  send(reply: Reply): boolean {
    this.sent.push(reply.bytes.toString());
    return true;
  }
  end(code: GrpcCode = GrpcCode.OK, message = "", details?: Uint8Array): void {
    if (this.ended !== undefined) return;
    this.ended = { code, message, details };
    if (this.reads) this.close();
  }
  /** The peer goes. */
  cancel(): void {
    if (this.ended === undefined) this.onCancel?.();
    this.close();
  }
  close(): void {
    this.onClose?.();
    this.onClose = null;
  }
}

function setup(
  method: Method<RpcContext>,
  change: Partial<GuardDeps> & { limits_?: CallLimits; audit_?: boolean } = {},
) {
  const clock = new FakeClock();
  const lines: Line[] = [];
  const log = recordingLogger(lines);
  const counted: [string, LogFields][] = [];
  const metrics: Metrics = {
    ...noMetrics,
    counter: (name) => ({ add: (labels = {}) => void counted.push([name, labels]) }),
  };
  const guard = new Guard(
    {
      clock,
      log,
      metrics,
      audit: new AuditLog(change.audit_ === true ? log : undefined),
      authorizer: { authorize: async () => ({ as: "local", via: "transport" }) },
      limits: new Map(),
      details: () => undefined,
      ...change,
    },
    change.limits_,
  );
  const table = guard.protect(new Map([[METHOD, method]]));
  /** As a transport does: the request is read once the method was asked. */
  const start = (peer: Caller = LOCAL): FakeCall => {
    const call = new FakeCall(peer);
    const served = table.get(METHOD);
    if (served?.kind !== "single") throw new Error("not single");
    void served.open?.(call)?.then(() => {
      if (call.ended === undefined) served.run(call, Buffer.from("request"));
    });
    return call;
  };
  const open = (peer: Caller = LOCAL): { call: FakeCall; handler: BidiHandler } => {
    const call = new FakeCall(peer);
    const served = table.get(METHOD);
    if (served?.kind !== "bidi") throw new Error("not bidi");
    return { call, handler: served.open(call) };
  };
  return { clock, lines, counted, guard, table, start, open };
}

const echo: Method<RpcContext> = {
  kind: "single",
  run(call, request) {
    call.send(new Reply(request));
    call.end();
  },
};
const hanging: Method<RpcContext> = { kind: "single", run() {} };

describe("a call", () => {
  test("reaches its handler once it is authorized, and is counted", async () => {
    const { start, counted, guard } = setup(echo);
    const call = start();
    expect(call.sent).toEqual([]);
    await settle();
    expect(call).toMatchObject({ sent: ["request"], ended: { code: GrpcCode.OK } });
    expect(counted).toEqual([["rpc_agent_v1_agent_ban_agent", { status: "OK" }]]);
    expect(guard.running).toBe(0);
  });

  test("that is not authorized never reaches its handler", async () => {
    const error = new AgentError("PERMISSION_DENIED", "long reason", { publicMessage: "denied" });
    const details = new Uint8Array([1]);
    let ran = false;
    const { start, lines } = setup(
      {
        kind: "single",
        run() {
          ran = true;
        },
      },
      {
        authorizer: { authorize: () => Promise.reject(error) },
        details: (thrown) => (thrown === error ? details : undefined),
      },
    );
    const call = start(STRANGER);
    await settle();
    expect(ran).toBe(false);
    expect(call.ended).toEqual({ code: GrpcCode.PERMISSION_DENIED, message: "denied", details });
    expect(lines).toMatchObject([
      {
        level: "warn",
        message: "Request denied",
        fields: { error: "long reason", caller_addr: "192.0.2.1:9", method: "BanAgent" },
      },
    ]);
  });

  test("that is cancelled while it is authorized never reaches its handler", async () => {
    let ran = false;
    const { start, guard } = setup({
      kind: "single",
      run() {
        ran = true;
      },
    });
    const call = start();
    call.cancel();
    await settle();
    expect(ran).toBe(false);
    expect(guard.running).toBe(0);
  });

  test("whose handler throws ends INTERNAL and says no more", async () => {
    const { start, lines, guard } = setup({
      kind: "single",
      run() {
        throw new Error("secret");
      },
    });
    const call = start();
    await settle();
    expect(call.ended).toMatchObject({ code: GrpcCode.INTERNAL, message: "internal error" });
    expect(lines).toMatchObject([{ level: "error", fields: { error: "secret" } }]);
    expect(guard.running).toBe(0);
  });

  test("that takes too long is ended and its handler told", async () => {
    let cancelled = false;
    const { start, clock, guard } = setup({
      kind: "single",
      run(call) {
        call.onCancel = () => {
          cancelled = true;
        };
      },
    });
    const call = start(STRANGER);
    await settle();
    await clock.advance(119_000);
    expect(call.ended).toBeUndefined();
    await clock.advance(1_000);
    expect(call.ended).toMatchObject({ code: GrpcCode.DEADLINE_EXCEEDED });
    expect(cancelled).toBe(true);
    expect(guard.running).toBe(0);
  });

  test("over the bound of its kind is refused at once, others are not", async () => {
    const { start, guard } = setup(hanging, {
      limits_: { ...DEFAULT_CALL_LIMITS, local: 1, identified: 2, anonymous: 1 },
    });
    const running = [start(STRANGER), start(AGENT), start(AGENT), start(LOCAL)];
    await settle();
    for (const call of running) expect(call.ended).toBeUndefined();
    for (const peer of [STRANGER, AGENT, LOCAL]) {
      const refused = start(peer);
      await settle();
      expect(refused.ended).toMatchObject({ code: GrpcCode.RESOURCE_EXHAUSTED });
    }
    expect(guard.running).toBe(4);
    running[0]?.cancel();
    expect(guard.running).toBe(3);
    const next = start(STRANGER);
    await settle();
    expect(next.ended).toBeUndefined();
  });
});

describe("a request", () => {
  test("is neither read nor awaited for a caller who may not call", async () => {
    const { table, guard } = setup(echo, {
      authorizer: { authorize: () => Promise.reject(new AgentError("PERMISSION_DENIED", "no")) },
    });
    const call = new FakeCall(STRANGER);
    const served = table.get(METHOD);
    await served?.open?.(call);
    expect(call.ended).toMatchObject({ code: GrpcCode.PERMISSION_DENIED });
    expect(guard.running).toBe(0);
  });

  test("that does not come is counted, and given up in time", async () => {
    const { table, guard, clock } = setup(echo);
    const call = new FakeCall(STRANGER);
    await table.get(METHOD)?.open?.(call);
    expect(guard.running).toBe(1);
    await clock.advance(120_000);
    expect(call.ended).toMatchObject({ code: GrpcCode.DEADLINE_EXCEEDED });
    expect(guard.running).toBe(0);
  });

  test("that was not judged before it was read is served to nobody", () => {
    const { table } = setup(echo);
    const served = table.get(METHOD);
    const call = new FakeCall(LOCAL);
    expect(() => served?.kind === "single" && served.run(call, Buffer.from("request"))).toThrow("not judged");
    expect(call.sent).toEqual([]);
  });
});

test("an answer that its caller does not take is counted until the connection goes", async () => {
  const { table, guard } = setup(echo, { limits_: { ...DEFAULT_CALL_LIMITS, identifiedPerId: 1 } });
  const served = table.get(METHOD);
  const call = new FakeCall(AGENT);
  call.reads = false;
  await served?.open?.(call);
  if (served?.kind === "single") served.run(call, Buffer.from("request"));
  expect(call.ended).toMatchObject({ code: GrpcCode.OK });
  expect(guard.running).toBe(1);
  const next = new FakeCall(AGENT);
  await served?.open?.(next);
  expect(next.ended).toMatchObject({ code: GrpcCode.RESOURCE_EXHAUSTED });
  call.close();
  expect(guard.running).toBe(0);
});

describe("a stream", () => {
  test("is read once it is authorized", async () => {
    let allow: ((authorized: Authorized) => void) | undefined;
    const seen: string[] = [];
    const { open } = setup(
      {
        kind: "bidi",
        open: () => ({
          message: (bytes) => void seen.push(Buffer.from(bytes).toString()),
          end: () => void seen.push("end"),
        }),
      },
      {
        authorizer: {
          authorize: () =>
            new Promise((resolve) => {
              allow = resolve;
            }),
        },
      },
    );
    const { handler } = open();
    let ready = false;
    void handler.ready?.then(() => {
      ready = true;
    });
    await settle();
    expect(ready).toBe(false);
    allow?.({ as: "any" });
    await settle();
    expect(ready).toBe(true);
    void handler.message(Buffer.from("one"));
    handler.end();
    expect(seen).toEqual(["one", "end"]);
  });

  test("that is denied takes messages to nowhere", async () => {
    const { open } = setup(
      { kind: "bidi", open: () => ({ message: () => expect.unreachable(), end: () => expect.unreachable() }) },
      { authorizer: { authorize: () => Promise.reject(new AgentError("PERMISSION_DENIED", "no")) } },
    );
    const { call, handler } = open();
    await handler.ready;
    await handler.message(Buffer.from("x"));
    handler.end();
    expect(call.ended).toMatchObject({ code: GrpcCode.PERMISSION_DENIED });
  });
});

describe("the audit log", () => {
  const audits = (lines: readonly Line[]): LogFields[] =>
    lines.filter(({ message }) => message === "API accessed").map(({ fields }) => fields);

  test("has one line per call, with caller, method, status and what the handler adds", async () => {
    const { start, lines } = setup(
      {
        kind: "single",
        run(call) {
          call.peer.audit({ spiffe_id: "spiffe://example.org/x" });
          call.end();
        },
      },
      { audit_: true },
    );
    start({ kind: "local", process: { pid: 1, uid: 1000, gid: 100, path: "/bin/x" } });
    await settle();
    expect(audits(lines)).toEqual([
      {
        type: "audit",
        service: "agent.v1.Agent",
        method: "BanAgent",
        authorized_as: "local",
        authorized_via: "transport",
        caller_uid: 1000,
        caller_gid: 100,
        caller_path: "/bin/x",
        spiffe_id: "spiffe://example.org/x",
        status: "success",
        subsystem_name: "",
      },
    ]);
  });

  test("has a line per item of a batch instead, and one for a call that fails", async () => {
    const { start, lines } = setup(
      {
        kind: "single",
        run(call) {
          call.peer.auditItem({ entry_id: "a" }, { code: GrpcCode.OK, message: "OK" });
          call.peer.auditItem({ entry_id: "b" }, { code: GrpcCode.NOT_FOUND, message: "entry not found" });
          call.end();
        },
      },
      { audit_: true },
    );
    start();
    await settle();
    expect(audits(lines)).toMatchObject([
      { entry_id: "a", status: "success" },
      { entry_id: "b", status: "error", status_code: "NotFound", status_message: "entry not found" },
    ]);
  });

  test("says who was refused", async () => {
    const { start, lines } = setup(echo, {
      audit_: true,
      authorizer: { authorize: () => Promise.reject(new AgentError("PERMISSION_DENIED", "no")) },
    });
    start(AGENT);
    await settle();
    expect(audits(lines)).toMatchObject([
      {
        caller_id: id("/spire/agent/a/b"),
        caller_addr: "192.0.2.1:9",
        status: "error",
        status_code: "PermissionDenied",
      },
    ]);
  });
});

test("rate limits hold for TLS peers by address, never for the admin socket", async () => {
  const taken: unknown[] = [];
  const { start } = setup(
    {
      kind: "single",
      run: (call) => void call.peer.rateLimit(3, new AbortController().signal).then(() => call.end()),
    },
    { limits: new Map([[METHOD, { take: async (...args: unknown[]) => taken.push(args.slice(0, 3)) < 0 }]]) },
  );
  const calls = [start(LOCAL), start(STRANGER)];
  await settle();
  await settle();
  for (const call of calls) expect(call.ended).toMatchObject({ code: GrpcCode.OK });
  expect(taken).toEqual([["192.0.2.1", 3, 1_000]]);
});

test("a call that waited for its rate limit is authorized again: the caller may have been banned meanwhile", async () => {
  for (const waited of [true, false]) {
    let asked = 0;
    const { start } = setup(
      {
        kind: "single",
        run: (call) =>
          void call.peer.rateLimit(1, new AbortController().signal).then(
            () => call.end(),
            (error: unknown) => call.end(toGrpcStatus(error).code),
          ),
      },
      {
        limits: new Map([[METHOD, { take: async () => waited }]]),
        authorizer: {
          authorize: async () => {
            if (++asked > 1) throw new AgentError("PERMISSION_DENIED", "banned");
            return { as: "any" };
          },
        },
      },
    );
    const call = start(AGENT);
    await settle();
    await settle();
    expect(call.ended?.code).toBe(waited ? GrpcCode.PERMISSION_DENIED : GrpcCode.OK);
  }
});

test.each([
  ["/spire.api.server.agent.v1.Agent/AttestAgent", "rpc_agent_v1_agent_attest_agent"],
  ["/spire.api.server.svid.v1.SVID/BatchNewX509SVID", "rpc_svid_v1_svid_batch_new_x509svid"],
  ["/spire.api.server.svid.v1.SVID/MintJWTSVID", "rpc_svid_v1_svid_mint_jwtsvid"],
  ["/grpc.health.v1.Health/Check", "rpc_health_check"],
])("%s is counted as %s", (method, name) => {
  expect(metricName(method)).toBe(name);
});
