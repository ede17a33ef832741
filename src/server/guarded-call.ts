/** A call between transport and handler: carries the caller's rights to the handler, and the outcome to the guard. */
import { GrpcCode, type GrpcStatus } from "../lib/grpc-status.ts";
import type { LogFields } from "../lib/log.ts";
import type { Call, Reply } from "../lib/rpc/transport.ts";
import type { Authorized } from "./authz.ts";
import type { Caller } from "./caller.ts";
import type { RpcContext } from "./rpc-context.ts";

/** What a call asks of its guard. */
export interface CallHooks {
  authorize(method: string, caller: Caller): Promise<Authorized>;
  takeTokens(call: GuardedCall, cost: number, signal: AbortSignal): Promise<void>;
  item(call: GuardedCall, fields: LogFields, status: GrpcStatus): void;
  /** Called once, when the call is over. */
  ended(call: GuardedCall, status: GrpcStatus): void;
}

/** Is both the transport's call and the handler's context. */
export class GuardedCall implements Call<RpcContext>, RpcContext {
  /** Monotonic milliseconds. */
  readonly startedAt: number;
  /** Ends the watch over the call's time; set by the guard, called once at the end. */
  disarm: (() => void) | undefined;
  /** Gives the call's place away; set by the guard, called once when nothing is left of the call. */
  leave: (() => void) | undefined;
  onClose: (() => void) | null = null;
  /** What went wrong, for the log. */
  error: unknown;
  /** What the handler wants in the audit log. */
  auditFields: LogFields = {};
  /** Whether items were written, so that the call itself needs no line of its own. */
  auditedItems = false;

  readonly #inner: Call<Caller>;
  readonly #hooks: CallHooks;
  #authorized: Authorized | undefined;
  #over = false;
  #onCancel: (() => void) | null = null;

  constructor(inner: Call<Caller>, hooks: CallHooks, startedAt: number) {
    this.startedAt = startedAt;
    this.#inner = inner;
    this.#hooks = hooks;
    inner.onCancel = () => {
      this.#finish({ code: GrpcCode.CANCELLED, message: "the caller has gone" });
      this.#onCancel?.();
    };
    inner.onClose = () => {
      this.leave?.();
      this.onClose?.();
    };
  }

  get peer(): RpcContext {
    return this;
  }

  get method(): string {
    return this.#inner.method;
  }

  get caller(): Caller {
    return this.#inner.peer;
  }

  /** Whether the call ended or was cancelled. */
  get over(): boolean {
    return this.#over;
  }

  /** As whom the caller was let in, once it was. */
  get letInAs(): Authorized | undefined {
    return this.#authorized;
  }

  get authorized(): Authorized {
    if (this.#authorized === undefined) throw new Error(`${this.method} runs before it was authorized`);
    return this.#authorized;
  }

  async reauthorize(): Promise<void> {
    this.#authorized = await this.#hooks.authorize(this.method, this.caller);
  }

  rateLimit(cost: number, signal: AbortSignal): Promise<void> {
    return this.#hooks.takeTokens(this, cost, signal);
  }

  audit(fields: LogFields): void {
    this.auditFields = { ...this.auditFields, ...fields };
  }

  auditItem(fields: LogFields, status: GrpcStatus): void {
    this.auditedItems = true;
    this.#hooks.item(this, fields, status);
  }

  failed(error: unknown): void {
    this.error = error;
  }

  /** Ends a call that takes too long, and stops its handler. */
  expire(): void {
    if (this.#over) return;
    this.end(GrpcCode.DEADLINE_EXCEEDED, "the call took too long");
    this.#onCancel?.();
  }

  meta(name: string): string | undefined {
    return this.#inner.meta(name);
  }

  timeLeft(): number {
    return this.#inner.timeLeft();
  }

  send(reply: Reply): boolean {
    return this.#inner.send(reply);
  }

  end(code: GrpcCode = GrpcCode.OK, message = "", details?: Uint8Array): void {
    if (this.#over) return;
    this.#finish({ code, message });
    this.#inner.end(code, message, details);
  }

  get onDrain(): (() => void) | null {
    return this.#inner.onDrain;
  }

  set onDrain(listener: (() => void) | null) {
    this.#inner.onDrain = listener;
  }

  get onCancel(): (() => void) | null {
    return this.#onCancel;
  }

  set onCancel(listener: (() => void) | null) {
    this.#onCancel = listener;
    // The caller may have gone while it was being authorized.
    if (this.#over) listener?.();
  }

  #finish(status: GrpcStatus): void {
    if (this.#over) return;
    this.#over = true;
    this.#hooks.ended(this, status);
  }
}
