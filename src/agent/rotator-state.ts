/**
 * The agent SVID as a state machine, decided here and acted on in `rotator.ts`. It concerns the link to the server:
 * what is served to workloads goes on by itself, and stops only where an effect says so.
 *
 *             tick                       renewed
 *   holding ────────▶ asking ─────────────────────────▶ holding
 *      ▲  ▲  refused    │  ▲ tick
 *      │  └─────────────┤  │
 *      │ accepted       ▼  │
 *      └───────────── barred   the server will not have our SVID, and attesting anew has not worked yet
 */
import { type BackoffSchedule, backoffDelay } from "../lib/backoff.ts";

/** What the decisions depend on. Times are milliseconds since the Unix epoch. */
export interface SvidFacts {
  readonly notAfter: number;
  readonly renewAt: number;
  /** Renewed by attesting anew. */
  readonly reattestable: boolean;
}

/** How a new SVID is asked for. */
export type RenewalMethod = "renew" | "attest";

/** Why a new SVID is asked for. */
export type RenewalCause =
  /** Its time has come. */
  | "due"
  /** It hangs below a tainted authority. */
  | "tainted"
  /** It expired before it could be renewed. */
  | "expired"
  /** The server does not know it (any more). */
  | "refused"
  /** The server banned this agent. */
  | "banned";

/** Where the machine stands. */
export type RotatorState =
  /** The SVID works, as far as we know. `failures` counts attempts to renew it. */
  | {
      readonly kind: "holding";
      readonly svid: SvidFacts;
      readonly dueAt: number;
      readonly failures: number;
      readonly tainted: boolean;
    }
  /** A request is under way. */
  | {
      readonly kind: "asking";
      readonly svid: SvidFacts | undefined;
      readonly method: RenewalMethod;
      readonly cause: RenewalCause;
      readonly failures: number;
    }
  /** The SVID does not work; from time to time we attest anew. */
  | {
      readonly kind: "barred";
      readonly svid: SvidFacts | undefined;
      readonly cause: RenewalCause;
      readonly dueAt: number;
      readonly failures: number;
    };

/** How a request failed. */
export type RenewalFailure =
  /** The server did not answer. */
  | "unreachable"
  /** Something else went wrong, here or there. */
  | "error"
  /** The server wants the node attested anew. */
  | "reattest"
  /** The server banned this agent. */
  | "banned"
  /** The server refused to attest the node. */
  | "denied"
  /** The attestor has no proof (any more), or the server cannot use it. */
  | "impossible";

/** What happens to the machine. */
export type RotatorEvent =
  | { readonly kind: "tick" }
  /** The authority above the SVID was tainted. */
  | { readonly kind: "tainted" }
  /** A call made with the current SVID was refused. */
  | { readonly kind: "refused"; readonly recovery: "reattest" | "stop-serving" }
  /** A call made with the current SVID was answered. */
  | { readonly kind: "accepted" }
  /** The request brought a new SVID, which is in use now. */
  | { readonly kind: "renewed"; readonly svid: SvidFacts }
  | { readonly kind: "failed"; readonly failure: RenewalFailure };

/** What is to be done. */
export type RotatorEffect =
  /** Ask for a new SVID; answer with `renewed` or `failed`. */
  | { readonly kind: "ask"; readonly method: RenewalMethod }
  /** Workloads lose everything, now. */
  | { readonly kind: "stop-serving" }
  /** The identity is deleted, here and on disk. */
  | { readonly kind: "forget" }
  /** An operator should know. `recovered` takes it back. */
  | { readonly kind: "tell"; readonly what: "banned" | "denied" | "cannot-reattest" | "recovered" };

/** The next state and what to do. */
export interface RotatorStep {
  readonly state: RotatorState;
  readonly effects: readonly RotatorEffect[];
}

const UNREACHABLE: BackoffSchedule = { initialMs: 1_000, maxMs: 5_000, jitter: "full" };
/** Attesting is dear for the server, and what is wrong needs an operator or time. */
const SLOW: BackoffSchedule = { initialMs: 5_000, maxMs: 300_000 };

/** No wait is planned longer, but for the time of renewal. */
const LONGEST_REST_MS = 330_000;

/**
 * The state of an agent that holds an SVID. One that has ended by our clock when it comes (`now`) would be due at once,
 * and so would be the next: it is the clock that is wrong, and the server must not be asked without a pause.
 */
export function holding(svid: SvidFacts, now = Number.NEGATIVE_INFINITY): RotatorState {
  const dueAt = now < svid.notAfter ? svid.renewAt : now + SLOW.maxMs;
  return { kind: "holding", svid, dueAt, failures: 0, tainted: false };
}

/** Whether the planned moment has come. It does not wait for a clock that was ahead when it was planned, and was set right. */
function isDue(dueAt: number, now: number, otherwise = Number.NEGATIVE_INFINITY): boolean {
  return now >= (dueAt - now > LONGEST_REST_MS ? Math.min(dueAt, otherwise) : dueAt);
}

/** When the machine wants a tick; undefined while a request is under way. */
export function wakeAt(state: RotatorState): number | undefined {
  return state.kind === "asking" ? undefined : state.dueAt;
}

/** The whole machine. Events that do not concern a state leave it as it is. */
export function transition(state: RotatorState, event: RotatorEvent, now: number, random: () => number): RotatorStep {
  switch (state.kind) {
    case "holding":
      return whileHolding(state, event, now, random);
    case "asking":
      return whileAsking(state, event, now, random);
    case "barred":
      return whileBarred(state, event, now, random);
  }
}

type In<K extends RotatorState["kind"]> = Extract<RotatorState, { kind: K }>;

function whileHolding(state: In<"holding">, event: RotatorEvent, now: number, random: () => number): RotatorStep {
  const { svid } = state;
  switch (event.kind) {
    case "tick": {
      if (!isDue(state.dueAt, now, svid.renewAt)) return stay(state);
      // The server refuses an expired certificate, so that only attesting is left.
      const expired = now >= svid.notAfter;
      const method = svid.reattestable || expired ? "attest" : "renew";
      return ask(method, { ...state, cause: expired ? "expired" : state.tainted ? "tainted" : "due" });
    }
    case "tainted":
      if (state.tainted) return stay(state);
      return stay({ ...state, tainted: true, dueAt: Math.min(state.dueAt, now) });
    case "refused":
      if (event.recovery === "stop-serving") return banned(now, random);
      return ask("attest", { svid, cause: "refused", failures: 0 });
    case "accepted":
    case "renewed":
    case "failed":
      return stay(state);
  }
}

function whileAsking(state: In<"asking">, event: RotatorEvent, now: number, random: () => number): RotatorStep {
  switch (event.kind) {
    case "renewed": {
      const isNews = state.cause !== "due" && state.cause !== "tainted";
      return { state: holding(event.svid, now), effects: isNews ? [{ kind: "tell", what: "recovered" }] : [] };
    }
    case "failed":
      return failed(state, event.failure, now, random);
    // The request's own outcome decides.
    case "tick":
    case "tainted":
    case "refused":
    case "accepted":
      return stay(state);
  }
}

function whileBarred(state: In<"barred">, event: RotatorEvent, now: number, random: () => number): RotatorStep {
  const { svid, cause } = state;
  switch (event.kind) {
    case "tick":
      return isDue(state.dueAt, now) ? ask("attest", state) : stay(state);
    case "accepted":
      // The server has changed its mind, for example when its backup was restored once more.
      if (svid === undefined) return stay(state);
      return {
        state: {
          kind: "holding",
          svid,
          dueAt: Math.max(svid.renewAt, state.dueAt),
          failures: state.failures,
          tainted: false,
        },
        effects: [{ kind: "tell", what: "recovered" }],
      };
    case "refused":
      return event.recovery === "stop-serving" && cause !== "banned" ? banned(now, random) : stay(state);
    case "tainted":
    case "renewed":
    case "failed":
      return stay(state);
  }
}

function failed(state: In<"asking">, failure: RenewalFailure, now: number, random: () => number): RotatorStep {
  const { svid, cause } = state;
  const failures = state.failures + 1;
  const dueAt = now + backoffDelay(failure === "unreachable" ? UNREACHABLE : SLOW, failures, random);
  if (failure === "banned" && cause !== "banned") return banned(now, random);
  if (failure === "reattest" && state.method === "renew") return ask("attest", { svid, cause: "refused", failures: 0 });
  // The server still takes the SVID: whatever is wrong with its renewal, there is time.
  if ((cause === "due" || cause === "tainted") && svid !== undefined && now < svid.notAfter) {
    return stay({ kind: "holding", svid, dueAt, failures, tainted: cause === "tainted" });
  }
  const barred: RotatorState = { kind: "barred", svid, cause: afterExpiry(cause), dueAt, failures };
  switch (failure) {
    case "denied":
      // The server knows this node no longer and will not have it back: nor may its workloads go on.
      if (cause !== "refused") return { state: barred, effects: cannotReattest(cause) };
      return { state: barred, effects: [{ kind: "stop-serving" }, { kind: "tell", what: "denied" }] };
    case "impossible":
      return { state: barred, effects: cannotReattest(cause) };
    case "unreachable":
    case "error":
    case "reattest":
    case "banned":
      return stay(barred);
  }
}

/** A ban says more than that. */
function cannotReattest(cause: RenewalCause): readonly RotatorEffect[] {
  return cause === "banned" ? [] : [{ kind: "tell", what: "cannot-reattest" }];
}

/** A renewal that came too late goes on as one of an expired SVID. */
function afterExpiry(cause: RenewalCause): RenewalCause {
  return cause === "due" || cause === "tainted" ? "expired" : cause;
}

function banned(now: number, random: () => number): RotatorStep {
  return {
    state: {
      kind: "barred",
      svid: undefined,
      cause: "banned",
      dueAt: now + backoffDelay(SLOW, 1, random),
      failures: 1,
    },
    effects: [{ kind: "stop-serving" }, { kind: "forget" }, { kind: "tell", what: "banned" }],
  };
}

function ask(
  method: RenewalMethod,
  from: { readonly svid: SvidFacts | undefined; readonly cause: RenewalCause; readonly failures: number },
): RotatorStep {
  const { svid, cause, failures } = from;
  return { state: { kind: "asking", svid, method, cause, failures }, effects: [{ kind: "ask", method }] };
}

function stay(state: RotatorState): RotatorStep {
  return { state, effects: [] };
}
