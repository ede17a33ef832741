/** Ports of node attestation: what every attestor's two halves look like. */
import type { KeyObject } from "node:crypto";
import type { SpiffeId } from "../spiffe/id.ts";
import type { Selector } from "../spiffe/selector.ts";

/** The agent's half: produces a proof of what this node is. */
export interface AgentNodeAttestor {
  /** The attestation type on the wire, such as `join_token`. */
  readonly name: string;
  /** Starts a ceremony for the key that the SVID is asked for. Throws when the proof cannot be had (yet). */
  begin(request: { readonly csrPublicKey: KeyObject }, signal: AbortSignal): Promise<Attestation>;
}

/** One ceremony on the agent. Disposing releases what it holds (TPM handles, sessions). */
export interface Attestation extends AsyncDisposable {
  readonly payload: Uint8Array;
  /** Answers a challenge of the server. */
  respond(challenge: Uint8Array): Promise<Uint8Array>;
}

/**
 * What an attestation told of a node beside its selectors, as short texts by name: for people, and for comparison with
 * what the next one tells.
 */
export type NodeFacts = Readonly<Record<string, string>>;

/** What the server half may ask of its store. */
export interface AttestedNodeLookup {
  /** Whether a node with this ID has attested before and was not evicted (TOFU). */
  isAttested(agentId: SpiffeId): Promise<boolean>;
  /** What the node's last attestation told; `undefined` for a node that is not known. */
  factsOf(agentId: SpiffeId): Promise<NodeFacts | undefined>;
  /** Deletes an unspent, unexpired token and returns true; one row must go, so that a token is spent once. */
  consumeJoinToken(token: string): Promise<"consumed" | "expired" | "unknown">;
}

/** The server's half: judges a proof. */
export interface ServerNodeAttestor {
  readonly name: string;
  /** Throws an `AgentError` when the proof does not hold; its public message says only that much. */
  attest(
    request: {
      readonly payload: Uint8Array;
      readonly csrPublicKey: KeyObject;
      /** The peer's IP address as the kernel saw it. */
      readonly peerAddress: string;
      readonly nodes: AttestedNodeLookup;
    },
    challenge: (challenge: Uint8Array) => Promise<Uint8Array>,
    signal: AbortSignal,
  ): Promise<AttestResult>;
}

/** What a proof showed. */
export interface AttestResult {
  readonly agentId: SpiffeId;
  readonly selectors: readonly Selector[];
  /** Whether the agent renews by attesting anew, rather than by `RenewAgent`. */
  readonly canReattest: boolean;
  /** Stored with the node. Default: those of before stay. */
  readonly facts?: NodeFacts;
  /** Called once the node is enrolled: what is to be told of it goes to the log then, not before. */
  enrolled?(): void;
}
