/** Makes a node that proved itself an agent: checks its ID, signs its SVID, stores its row. */
import type { AttestedNodeLookup, AttestResult, NodeFacts } from "../../attestors/node.ts";
import type { Clock } from "../../lib/clock.ts";
import { AgentError, publicError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import { pathOf, type SpiffeId, type TrustDomain, trustDomainOf } from "../../spiffe/id.ts";
import { normalizeSelectors } from "../../spiffe/selector.ts";
import type { AttestedNode, DataStore } from "../datastore/datastore.ts";
import type { IssuedSvid, X509Issuer } from "../ports.ts";
import { attempt, failedTo } from "./failure.ts";

/** What enrolment needs. */
export interface EnrolDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly trustDomain: TrustDomain;
  readonly datastore: Pick<DataStore, "nodes" | "joinTokens" | "transaction">;
  readonly issuer: X509Issuer;
  /** Gives each agent a `spiffe_id` selector with its own ID. */
  readonly agentIdAsSelector: boolean;
}

/** What an attestor asks of the datastore; remembers which nodes it was told are new. */
export class NodeLookup implements AttestedNodeLookup {
  readonly #deps: Pick<EnrolDeps, "clock" | "datastore">;
  readonly #saidNew = new Set<SpiffeId>();

  constructor(deps: Pick<EnrolDeps, "clock" | "datastore">) {
    this.#deps = deps;
  }

  async isAttested(agentId: SpiffeId): Promise<boolean> {
    const known = (await this.#deps.datastore.nodes.get(agentId)) !== undefined;
    if (!known) this.#saidNew.add(agentId);
    return known;
  }

  async factsOf(agentId: SpiffeId): Promise<NodeFacts | undefined> {
    return (await attempt("failed to fetch agent", () => this.#deps.datastore.nodes.get(agentId)))?.facts;
  }

  async consumeJoinToken(token: string): Promise<"consumed" | "expired" | "unknown"> {
    const spent = await attempt("failed to spend join token", () => this.#deps.datastore.joinTokens.consume(token));
    if (spent === undefined) return "unknown";
    return spent.expiresAt * 1000 < this.#deps.clock.now() ? "expired" : "consumed";
  }

  /** Whether the attestor relies on the node being new (trust on first use). */
  wasSaidNew(agentId: SpiffeId): boolean {
    return this.#saidNew.has(agentId);
  }
}

/** Signs and stores. Throws `PERMISSION_DENIED` for a banned node, or one that another attestation made known meanwhile. */
export async function enrol(
  deps: EnrolDeps,
  request: {
    readonly type: string;
    readonly result: AttestResult;
    readonly spki: Uint8Array;
    readonly nodes: NodeLookup;
  },
): Promise<IssuedSvid> {
  const { agentId, canReattest } = request.result;
  checkNamespace(deps.trustDomain, agentId, request.type);
  const selectors = normalizeSelectors([
    ...request.result.selectors,
    ...(deps.agentIdAsSelector ? [{ type: "spiffe_id", value: agentId }] : []),
  ]);
  checkNotBanned(await attempt("failed to fetch agent", () => deps.datastore.nodes.get(agentId)));
  const issued = await attempt("failed to sign X509 SVID", () =>
    deps.issuer.issueAgentSvid({ spiffeId: agentId, spki: request.spki }),
  );
  const row = {
    agentId,
    attestationType: request.type,
    serial: issued.serial,
    expiresAt: Math.floor(issued.notAfter / 1000),
    pendingSerial: "",
    pendingExpiresAt: 0,
    canReattest,
    selectors,
  };
  try {
    await deps.datastore.transaction(async ({ nodes }) => {
      const known = await nodes.get(agentId);
      // Again, because both may have changed while we signed.
      checkNotBanned(known);
      if (known !== undefined && request.nodes.wasSaidNew(agentId)) {
        throw publicError("PERMISSION_DENIED", "attestation data has already been used to attest an agent");
      }
      const facts = request.result.facts ?? known?.facts ?? {};
      await nodes.put({ ...row, facts, agentVersion: known?.agentVersion ?? "" });
    });
  } catch (error) {
    if (error instanceof AgentError && error.code === "PERMISSION_DENIED") throw error;
    throw failedTo("failed to store attested agent", error);
  }
  return issued;
}

/** An attestor that names nodes outside its own namespace could take over another attestor's. */
function checkNamespace(trustDomain: TrustDomain, agentId: SpiffeId, type: string): void {
  const prefix = `/spire/agent/${type}/`;
  if (trustDomainOf(agentId) === trustDomain && pathOf(agentId).startsWith(prefix)) return;
  const message = "invalid agent ID: not in the namespace of the node attestor";
  throw new AgentError("INTERNAL", `${message}: ${agentId} is not below ${prefix} of ${trustDomain}`, {
    publicMessage: message,
  });
}

function checkNotBanned(node: AttestedNode | undefined): void {
  if (node?.serial === "") throw publicError("PERMISSION_DENIED", "failed to attest: agent is banned");
}
