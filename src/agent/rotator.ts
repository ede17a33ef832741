/** Keeps the agent SVID fresh and acts on the server's refusals; `rotator-state.ts` decides, this asks and stores. */
import type { Clock } from "../lib/clock.ts";
import { AgentError, type ErrorCode, errorCode, errorText, findAgentError } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import { type CallCounter, callCounter, type Metrics } from "../lib/metrics.ts";
import type { Random } from "../lib/random.ts";
import { createCsr } from "../pki/csr.ts";
import { generateKey } from "../pki/keys.ts";
import type { TrustBundle } from "../spiffe/bundle.ts";
import type { X509Svid } from "../spiffe/svid.ts";
import { AGENT_KEY_TYPE, type AgentIdentity, acceptAgentSvid } from "./agent-identity.ts";
import type { AgentState } from "./agent-state.ts";
import type { Attested } from "./attest.ts";
import type { AgentHealth } from "./health.ts";
import { authoritiesOf } from "./issued-svid.ts";
import { type RenewalOptions, renewalTime } from "./renewal-time.ts";
import { isDisconnected } from "./retry-delay.ts";
import {
  holding,
  type RenewalFailure,
  type RenewalMethod,
  type RotatorEffect,
  type RotatorEvent,
  type RotatorState,
  type SvidFacts,
  transition,
  wakeAt,
} from "./rotator-state.ts";
import type { ServerLink } from "./server-link.ts";
import { taintCheck } from "./taint.ts";
import { Wakeup } from "./wakeup.ts";

/** Dependencies and options of `Rotator`. */
export interface RotatorDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly health: AgentHealth;
  readonly link: ServerLink;
  readonly state: AgentState;
  readonly renewal: RenewalOptions;
  /** Attests the node, trusting the server by this bundle. */
  readonly attest: (trust: TrustBundle, signal: AbortSignal) => Promise<Attested>;
  /** Workloads must lose everything, now. */
  readonly stopServing: () => void;
  /** The agent has another SVID. */
  readonly onRenewed: () => void;
}

/** Waits are cut to this, because timers stand still while a host sleeps. */
const LONGEST_WAIT_MS = 60_000;
/** With less than this share of its life left, an SVID gives way to one that could not be stored. */
const UNSTORED_SHARE = 0.25;

const TOLD = {
  banned: "the server has banned this agent: it serves nothing until an operator evicts it and it attests anew",
  denied: "the server does not know this agent and refuses to attest it: it serves nothing until an operator acts",
  "cannot-reattest":
    "the server does not accept this agent's SVID and its node attestor has no new proof: what is valid is served until it expires; an operator must act",
} as const;

/** Why a request in progress is given up. */
const BANNED = new AgentError("PERMISSION_DENIED", "the server banned this agent meanwhile", {
  recovery: "stop-serving",
});

/** Runs the state machine of the agent SVID. */
export class Rotator {
  readonly #deps: RotatorDeps;
  readonly #wakeup: Wakeup;
  readonly #rotated: CallCounter;
  readonly #queue: { readonly event: RotatorEvent; readonly svid: X509Svid }[] = [];
  #state: RotatorState;
  /** Gives up the request in progress. */
  #giveUp: (() => void) | undefined;

  constructor(deps: RotatorDeps, identity: AgentIdentity) {
    this.#deps = deps;
    this.#wakeup = new Wakeup(deps.clock);
    this.#rotated = callCounter(deps.metrics, deps.clock, "agent_svid_rotate", {
      help: "Attempts to replace the agent's SVID.",
      labels: ["method"],
    });
    this.#state = holding(this.#facts(identity, identity.svid.notBefore), deps.clock.now());
  }

  /** A call made with `svid` was refused. A ban does not wait for a request in progress, which may hang. */
  refused(recovery: "reattest" | "stop-serving", svid: X509Svid): void {
    if (!this.#push({ kind: "refused", recovery }, svid)) return;
    if (recovery === "stop-serving") this.#giveUp?.();
  }

  /** A call made with `svid` was answered. */
  accepted(svid: X509Svid): void {
    if (this.#state.kind === "barred") this.#push({ kind: "accepted" }, svid);
  }

  /** The own bundle changed. */
  bundleChanged(bundle: TrustBundle): void {
    const svid = this.#deps.state.identity?.svid;
    if (svid !== undefined && taintCheck(bundle)(svid)) this.#push({ kind: "tainted" }, svid);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, state } = this.#deps;
    this.bundleChanged(state.bundle);
    for (;;) {
      const next = this.#queue.shift();
      if (next === undefined) await this.#step({ kind: "tick" }, signal);
      else if (next.svid === state.identity?.svid) await this.#step(next.event, signal);
      if (this.#queue.length > 0) continue;
      const wait = (wakeAt(this.#state) ?? clock.now()) - clock.now();
      if (wait > 0) await this.#wakeup.wait(Math.min(LONGEST_WAIT_MS, wait), signal);
    }
  }

  /** At most one of a kind waits: a thousand calls refused at once are one refusal. What concerns an SVID that is gone is old news: false. */
  #push(event: RotatorEvent, svid: X509Svid): boolean {
    if (svid !== this.#deps.state.identity?.svid) return false;
    if (!this.#queue.some((queued) => queued.event.kind === event.kind && queued.svid === svid)) {
      this.#queue.push({ event, svid });
    }
    this.#wakeup.wake();
    return true;
  }

  async #step(event: RotatorEvent, signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#deps;
    const { state, effects } = transition(this.#state, event, clock.now(), () => random.unit());
    this.#state = state;
    for (const effect of effects) {
      const answer = await this.#act(effect, signal);
      if (answer !== undefined) await this.#step(answer, signal);
    }
  }

  async #act(effect: RotatorEffect, signal: AbortSignal): Promise<RotatorEvent | undefined> {
    const { log, health, link, state } = this.#deps;
    switch (effect.kind) {
      case "ask":
        return await this.#ask(effect.method, signal);
      case "stop-serving":
        health.set({ serving: false });
        this.#deps.stopServing();
        return undefined;
      case "forget":
        link.setIdentity(undefined);
        await state.forgetIdentity();
        return undefined;
      case "tell":
        if (effect.what === "recovered") health.resolve("agent_svid");
        else if (health.report("agent_svid", TOLD[effect.what])) {
          log.error("The server refuses this agent", { reason: TOLD[effect.what] });
        }
        return undefined;
    }
  }

  async #ask(method: RenewalMethod, signal: AbortSignal): Promise<RotatorEvent> {
    const { clock, log, link, onRenewed } = this.#deps;
    const asking = new AbortController();
    const banned = Promise.withResolvers<never>();
    this.#giveUp = () => {
      asking.abort(BANNED);
      banned.reject(BANNED);
    };
    try {
      const obtained = this.#rotated(() => this.#obtain(method, AbortSignal.any([signal, asking.signal])), { method });
      const identity = await Promise.race([obtained, banned.promise]);
      link.setIdentity(identity.svid);
      this.#deps.health.resolve("agent_svid");
      log.info("The agent SVID was renewed", {
        spiffe_id: identity.svid.spiffeId,
        method,
        expires_at: new Date(identity.svid.notAfter).toISOString(),
      });
      onRenewed();
      return { kind: "renewed", svid: this.#facts(identity, clock.now()) };
    } catch (error) {
      signal.throwIfAborted();
      const failure = classify(error, method);
      log.warn("Could not renew the agent SVID", { method, reason: failure, error: errorText(error) });
      return { kind: "failed", failure };
    } finally {
      this.#giveUp = undefined;
    }
  }

  async #obtain(method: RenewalMethod, signal: AbortSignal): Promise<AgentIdentity> {
    const { state } = this.#deps;
    if (method === "attest") {
      // The server has replaced the old SVID already, whether the new one can be stored or not.
      const { identity, bundle } = await this.#deps.attest(state.bundle, signal);
      signal.throwIfAborted();
      const stored = await state.adoptStored(identity, bundle);
      signal.throwIfAborted();
      if (!stored) state.adopt(identity, bundle);
      return identity;
    }
    const identity = await this.#renew(signal);
    signal.throwIfAborted();
    // The old SVID works until the new one is used. Were the new one used and lost in a restart, neither would work.
    const stored = await state.adoptStored(identity);
    signal.throwIfAborted();
    if (!stored) {
      if (!this.#mustAdoptUnstored())
        throw new Error("the new agent SVID could not be stored; the old one stays in use");
      state.adopt(identity);
    }
    return identity;
  }

  async #renew(signal: AbortSignal): Promise<AgentIdentity> {
    const { clock, link, state } = this.#deps;
    const current = state.identity;
    if (current === undefined) throw new Error("there is no agent SVID to renew");
    const privateKey = await generateKey(AGENT_KEY_TYPE);
    const csr = await createCsr({ privateKey });
    const chain = await link.use((client) => client.renewAgent(csr, signal), signal);
    const expectedId = current.svid.spiffeId;
    const authorities = authoritiesOf(state.bundle);
    const svid = acceptAgentSvid({ chain, privateKey, authorities, expectedId, now: clock.now() });
    return { svid, reattestable: current.reattestable };
  }

  #mustAdoptUnstored(): boolean {
    const { clock, state } = this.#deps;
    const svid = state.identity?.svid;
    return svid === undefined || svid.notAfter - clock.now() < UNSTORED_SHARE * (svid.notAfter - svid.notBefore);
  }

  #facts(identity: AgentIdentity, issuedAt: number): SvidFacts {
    const { random, renewal } = this.#deps;
    const { svid, reattestable } = identity;
    const renewAt = renewalTime(svid, issuedAt, () => random.unit(), renewal);
    return { notAfter: svid.notAfter, renewAt, reattestable };
  }
}

const DENIED: ReadonlySet<ErrorCode> = new Set(["PERMISSION_DENIED", "UNAUTHENTICATED"]);
/** A spent or unknown token, an attestor that the server lacks, a proof that it cannot use. */
const IMPOSSIBLE: ReadonlySet<ErrorCode> = new Set([
  "INVALID_ARGUMENT",
  "FAILED_PRECONDITION",
  "NOT_FOUND",
  "UNIMPLEMENTED",
]);

/** The server's word first, then what the code says about another try. */
function classify(error: unknown, method: RenewalMethod): RenewalFailure {
  const recovery = findAgentError(error)?.recovery;
  if (recovery === "stop-serving") return "banned";
  if (recovery === "reattest") return "reattest";
  if (isDisconnected(error)) return "unreachable";
  const code = errorCode(error);
  if (method === "attest") return DENIED.has(code) ? "denied" : IMPOSSIBLE.has(code) ? "impossible" : "error";
  // RenewAgent found no record of this agent: it was evicted.
  return code === "NOT_FOUND" ? "reattest" : "error";
}
