/** Node attestation: a new key, a proof of the node, and in return the agent SVID and the bundle. */
import { createPublicKey } from "node:crypto";
import type { AgentNodeAttestor } from "../attestors/node.ts";
import type { Clock } from "../lib/clock.ts";
import { errorText } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import { createCsr } from "../pki/csr.ts";
import { generateKey } from "../pki/keys.ts";
import type { TrustBundle } from "../spiffe/bundle.ts";
import { AGENT_KEY_TYPE, type AgentIdentity, acceptAgentSvid } from "./agent-identity.ts";
import { authoritiesOf } from "./issued-svid.ts";
import type { ServerClient } from "./server-client.ts";

/** What an attestation needs. */
export interface AttestDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly attestor: AgentNodeAttestor;
  /** Opens a connection without an identity that trusts these authorities. */
  readonly connect: (trust: TrustBundle | "insecure") => ServerClient;
}

/** What an attestation brings. */
export interface Attested {
  readonly identity: AgentIdentity;
  readonly bundle: TrustBundle;
}

/**
 * Attests once. `trust` judges the server; the bundle that it then sends on the same connection replaces it, and
 * judges the SVID. Throws what the attestor, the server or the verification throws.
 */
export async function attestNode(
  deps: AttestDeps,
  trust: TrustBundle | "insecure",
  signal: AbortSignal,
): Promise<Attested> {
  const { clock, attestor } = deps;
  const privateKey = await generateKey(AGENT_KEY_TYPE);
  const csr = await createCsr({ privateKey });
  await using attestation = await attestor.begin({ csrPublicKey: createPublicKey(privateKey) }, signal);
  using client = deps.connect(trust);
  const { chain, reattestable } = await client.attestAgent(
    {
      type: attestor.name,
      payload: attestation.payload,
      csr,
      respond: (challenge) => attestation.respond(challenge),
    },
    signal,
  );
  const bundle = await fetchBundle(deps, client, trust, signal);
  const svid = acceptAgentSvid({ chain, privateKey, authorities: authoritiesOf(bundle), now: clock.now() });
  return { identity: { svid, reattestable }, bundle };
}

/** A one-time proof may be spent by now: where an authenticated bundle is at hand, a lost connection must not waste it. */
async function fetchBundle(
  deps: AttestDeps,
  client: ServerClient,
  trust: TrustBundle | "insecure",
  signal: AbortSignal,
): Promise<TrustBundle> {
  try {
    return await client.getBundle(signal);
  } catch (error) {
    if (signal.aborted || trust === "insecure") throw error;
    deps.log.warn("Could not fetch the bundle after attestation; going on with the one at hand", {
      error: errorText(error),
    });
    return trust;
  }
}
