/** Stands before every handler: bounds, authorization, rate limits, audit log and metrics, in one place. */
import type { Clock } from "../lib/clock.ts";
import { errorText } from "../lib/errors.ts";
import { GrpcCode, type GrpcStatus, grpcCodeName, toGrpcStatus } from "../lib/grpc-status.ts";
import type { Logger } from "../lib/log.ts";
import type { Metrics } from "../lib/metrics.ts";
import type { BidiHandler, Call, Method, MethodTable } from "../lib/rpc/transport.ts";
import { type AuditLog, callFields } from "./audit.ts";
import type { Authorizer } from "./authz.ts";
import { type CallLimits, type CallPool, CallPools, DEFAULT_CALL_LIMITS, poolOf } from "./call-pools.ts";
import type { Caller } from "./caller.ts";
import { type CallHooks, GuardedCall } from "./guarded-call.ts";
import { LogGate } from "./log-gate.ts";
import type { RateLimiter } from "./rate-limit.ts";
import { overloaded } from "./refused.ts";
import { RequestMetrics } from "./request-metrics.ts";
import type { RpcContext } from "./rpc-context.ts";

/** What `Guard` needs. */
export interface GuardDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly audit: AuditLog;
  readonly authorizer: Pick<Authorizer, "authorize">;
  /** By full method name. */
  readonly limits: ReadonlyMap<string, Pick<RateLimiter, "take">>;
  /** The serialised details of a failure, if it has any. */
  readonly details: (error: unknown) => Uint8Array | undefined;
}

/** Milliseconds that a call may take. Streams of agents end by themselves before. */
const LONGEST_CALL_MS: Readonly<Record<CallPool, number>> = {
  local: 300_000,
  identified: 240_000,
  watching: 240_000,
  anonymous: 120_000,
};

/** What a caller over the bound is told to wait. */
const RETRY_AFTER_MS = 1_000;

/** Our own faults, which the operator should see; the rest is the caller's. */
const OUR_FAULTS: ReadonlySet<GrpcCode> = new Set([
  GrpcCode.INTERNAL,
  GrpcCode.UNKNOWN,
  GrpcCode.DATA_LOSS,
  GrpcCode.UNAVAILABLE,
]);

/** Wraps handlers. */
export class Guard {
  readonly #deps: GuardDeps;
  readonly #pools: CallPools;
  readonly #metrics: RequestMetrics;
  readonly #denials: LogGate;
  readonly #hooks: CallHooks;
  /** Calls whose request is awaited. */
  readonly #admitted = new WeakMap<Call<Caller>, GuardedCall>();

  constructor(deps: GuardDeps, limits: CallLimits = DEFAULT_CALL_LIMITS) {
    this.#deps = deps;
    this.#pools = new CallPools(limits);
    this.#denials = new LogGate(deps.clock);
    this.#metrics = new RequestMetrics(deps.metrics);
    this.#hooks = {
      authorize: (method, caller) => deps.authorizer.authorize(method, caller),
      takeTokens: (call, cost, signal) => this.#takeTokens(call, cost, signal),
      item: (call, fields, status) => deps.audit.write(call, fields, status),
      ended: (call, status) => this.#ended(call, status),
    };
  }

  /** Calls of which something is left: a handler that works, or an answer that the peer has not taken. */
  get running(): number {
    return this.#pools.running;
  }

  /** The methods as a transport may serve them to anyone. */
  protect(methods: MethodTable<RpcContext>): MethodTable<Caller> {
    return new Map(Array.from(methods, ([name, method]) => [name, this.#protected(method)]));
  }

  #protected(method: Method<RpcContext>): Method<Caller> {
    if (method.kind === "single") {
      return {
        kind: "single",
        open: async (call) => {
          this.#admitted.set(call, await this.#admit(call));
        },
        run: (call, request) => {
          const guarded = this.#admitted.get(call);
          if (guarded === undefined) throw new Error(`a call of ${call.method} was not judged before it was read`);
          this.#start(guarded, () => method.run(guarded, request));
        },
      };
    }
    return {
      kind: "bidi",
      open: (call) => {
        let handler: BidiHandler | undefined;
        return {
          ready: this.#admit(call).then((guarded) => {
            this.#start(guarded, () => {
              handler = method.open(guarded);
            });
            return handler?.ready;
          }),
          message: (bytes) => handler?.message(bytes),
          end: () => handler?.end(),
        };
      },
    };
  }

  /** Lets the call in or ends it, before anything of its request is read. Never rejects. */
  async #admit(call: Call<Caller>): Promise<GuardedCall> {
    const { clock } = this.#deps;
    const leave = this.#pools.enter(call.method, call.peer);
    const guarded = new GuardedCall(call, this.#hooks, clock.monotonic());
    guarded.leave = leave;
    guarded.disarm = clock.after(LONGEST_CALL_MS[poolOf(call.method, call.peer)], () => guarded.expire());
    try {
      if (leave === undefined) throw overloaded("too many calls in progress", RETRY_AFTER_MS);
      await guarded.reauthorize();
    } catch (error) {
      this.#fail(guarded, error);
    }
    return guarded;
  }

  /** Starts the handler of a call that was let in. */
  #start(guarded: GuardedCall, work: () => void): void {
    if (guarded.over) return;
    try {
      work();
    } catch (error) {
      this.#fail(guarded, error);
    }
  }

  #fail(guarded: GuardedCall, error: unknown): void {
    guarded.error = error;
    const { code, message } = toGrpcStatus(error);
    guarded.end(code, message, this.#deps.details(error));
  }

  async #takeTokens(call: GuardedCall, cost: number, signal: AbortSignal): Promise<void> {
    const limiter = this.#deps.limits.get(call.method);
    if (limiter === undefined || call.caller.kind === "local") return;
    const waited = await limiter.take(call.caller.address, cost, call.timeLeft(), signal);
    // Who was banned or evicted meanwhile gets nothing.
    if (waited) await call.reauthorize();
  }

  #ended(call: GuardedCall, status: GrpcStatus): void {
    call.disarm?.();
    this.#metrics.ended(call.method, status.code, this.#deps.clock.monotonic() - call.startedAt);
    const failed = status.code !== GrpcCode.OK;
    if (failed || !call.auditedItems) this.#deps.audit.write(call, call.auditFields, status);
    if (!failed) return;
    const { log } = this.#deps;
    const line = {
      ...callFields(call.method, call.caller, call.letInAs),
      status_code: grpcCodeName(status.code),
      error: call.error === undefined ? status.message : errorText(call.error),
    };
    if (OUR_FAULTS.has(status.code)) log.error("Request failed", line);
    else if (status.code !== GrpcCode.PERMISSION_DENIED) log.debug("Request refused", line);
    else this.#denials.pass((suppressed) => log.warn("Request denied", { ...line, ...suppressed }));
  }
}
