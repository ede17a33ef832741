/** One call of secret discovery: holds a conversation with an attested caller for as long as both stay. */
import type { DiscoveryRequest } from "../../gen/envoy/service/discovery/v3/discovery.ts";
import type { Clock } from "../../lib/clock.ts";
import { GrpcCode } from "../../lib/grpc-status.ts";
import { Reply } from "../../lib/rpc/transport.ts";
import type { FairTurns } from "../fair-turns.ts";
import { Follower, type StreamHost } from "../follower.ts";
import type { WorkloadCall } from "../guard.ts";
import { Pace } from "../pace.ts";
import type { WorkloadUpdate } from "../ports.ts";
import type { Complaint, Conversation, ConversationDeps } from "./conversation.ts";
import { answerOnce } from "./state-of-the-world.ts";

/** What streams of secrets need besides what all streams share. */
export interface SecretStreamDeps {
  readonly host: StreamHost;
  readonly clock: Clock;
  /** Requests wait for their user's turn. */
  readonly turns: FairTurns;
}

/** Characters of a client's complaint that are logged. */
const MAX_COMPLAINT = 300;
/** Signs that a complaint quotes the secret. */
const QUOTES_SECRET = /-----BEGIN|inline_|private_key/i;

/** A stream. At most one answer waits for a client that reads slowly, and the next is made when it has read that. */
export class SecretStream extends Follower {
  readonly #deps: SecretStreamDeps;
  readonly #conversation: Conversation;
  readonly #pace: Pace;
  #full = false;
  #lastRequest = false;

  constructor(deps: SecretStreamDeps, call: WorkloadCall, conversation: Conversation) {
    super(deps.host, call);
    this.#deps = deps;
    this.#conversation = conversation;
    this.#pace = new Pace(deps.clock.monotonic());
    call.onDrain = () => {
      this.#full = false;
      this.push();
    };
  }

  /** Settles when the request was dealt with, so that a client that asks too often is read more slowly. */
  message(bytes: Uint8Array): Promise<void> {
    const { clock, turns } = this.#deps;
    const { promise, resolve } = Promise.withResolvers<void>();
    const turn = (): void =>
      turns.run(this.call.peer.uid, () => {
        this.#take(bytes);
        resolve();
      });
    const wait = this.#pace.take(clock.monotonic());
    if (wait === 0) turn();
    else clock.after(wait, turn);
    return promise;
  }

  /** The client will say no more: it gets the answer that it waits for, and no other. */
  finish(): void {
    this.#lastRequest = true;
    if (!this.#conversation.unanswered) this.end(GrpcCode.OK, "");
  }

  protected override answer(update: WorkloadUpdate, verified: boolean): void {
    if (this.#full) return;
    const message = this.#conversation.answer(update);
    if (message !== undefined) {
      if (!verified) this.confirm();
      this.#full = !this.call.send(new Reply(message));
    }
    if (this.#lastRequest && !this.#conversation.unanswered) this.end(GrpcCode.OK, "");
  }

  #take(bytes: Uint8Array): void {
    if (this.ended) return;
    this.attempt(() => {
      const complaint = this.#conversation.take(bytes);
      if (complaint !== undefined) this.#report(complaint);
    });
    this.push();
  }

  #report({ names, detail }: Complaint): void {
    const { peer, method } = this.call;
    const { log, lines } = this.host;
    const text = detail?.message ?? "version was not accepted";
    const error = QUOTES_SECRET.test(text) ? "not shown, for it may hold a secret" : text.slice(0, MAX_COMPLAINT);
    lines.pass(peer.uid, (suppressed) =>
      log.warn("Envoy could not apply secrets", {
        pid: peer.pid,
        caller_uid: peer.uid,
        method,
        resource_names: names.slice(0, 10),
        error,
        ...suppressed,
      }),
    );
  }
}

/** A single request. */
export class SecretFetch extends Follower {
  readonly #request: DiscoveryRequest;
  readonly #deps: ConversationDeps;

  constructor(host: StreamHost, call: WorkloadCall, request: DiscoveryRequest, deps: ConversationDeps) {
    super(host, call);
    this.#request = request;
    this.#deps = deps;
  }

  protected override answer(update: WorkloadUpdate, verified: boolean): void {
    const message = answerOnce(this.#request, update, this.#deps);
    if (message === undefined) return;
    if (!verified) this.confirm();
    this.call.send(new Reply(message));
    this.end(GrpcCode.OK, "");
  }
}
