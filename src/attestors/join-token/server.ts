/** `join_token` on the server: the proof is a one-time token; being the one that spends it is all there is to prove. */
import { publicError } from "../../lib/errors.ts";
import { agentId, type SpiffeId, type TrustDomain } from "../../spiffe/id.ts";
import type { AttestedNodeLookup, AttestResult, ServerNodeAttestor } from "../node.ts";
import { JOIN_TOKEN, MAX_JOIN_TOKEN_BYTES } from "./wire.ts";

/** Spends the token and names the agent after it, `/spire/agent/join_token/<token>`. It can never attest again. */
export class JoinTokenServerAttestor implements ServerNodeAttestor {
  readonly name = JOIN_TOKEN;
  readonly #trustDomain: TrustDomain;

  constructor(trustDomain: TrustDomain) {
    this.#trustDomain = trustDomain;
  }

  /** Throws `INVALID_ARGUMENT` for a token that is unknown, spent or expired; an expired one is spent by this, too. */
  async attest(request: {
    readonly payload: Uint8Array;
    readonly nodes: Pick<AttestedNodeLookup, "consumeJoinToken">;
  }): Promise<AttestResult> {
    const token = tokenText(request.payload);
    const id = token === undefined ? undefined : joinTokenAgentId(this.#trustDomain, token);
    // What cannot be a token is not worth a query; the answer is that of an unknown one.
    if (token === undefined || id === undefined) throw unknownToken();
    switch (await request.nodes.consumeJoinToken(token)) {
      case "unknown":
        throw unknownToken();
      case "expired":
        throw publicError("INVALID_ARGUMENT", "join token expired");
      case "consumed":
        return { agentId: id, selectors: [], canReattest: false };
    }
  }
}

/** The ID of the agent that spends a token; `undefined` when the token cannot be part of an ID. */
export function joinTokenAgentId(trustDomain: TrustDomain, token: string): SpiffeId | undefined {
  if (token.includes("/")) return undefined;
  try {
    return agentId(trustDomain, JOIN_TOKEN, token);
  } catch {
    return undefined;
  }
}

function tokenText(payload: Uint8Array): string | undefined {
  if (payload.length === 0 || payload.length > MAX_JOIN_TOKEN_BYTES) return undefined;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(payload);
  } catch {
    return undefined;
  }
}

function unknownToken(): Error {
  return publicError("INVALID_ARGUMENT", "failed to attest: join token does not exist or has already been used");
}
