/** `holdfast.agent.v1`: how the agent is, for its administrators' `status`. */
import {
  GetStatusRequest,
  GetStatusResponse,
  type GetStatusResponse_Identity,
  GetStatusResponse_ServerLink,
} from "../gen/holdfast/agent/v1/status.ts";
import type { Clock } from "../lib/clock.ts";
import type { Method } from "../lib/rpc/transport.ts";
import { type TypedOptions, unary } from "../lib/rpc/typed.ts";
import type { AdminSource, AgentFacts, IdentityFacts } from "./ports.ts";
import { idMessage, seconds } from "./wire.ts";

/** Full name of the service. */
export const STATUS_SERVICE = "holdfast.agent.v1.Status";

const DEFAULT_IDENTITIES = 1_000;
/** So many fit into the 4 MiB that clients take, unless IDs are very long. */
const MOST_IDENTITIES = 10_000;

/** What the service is made of. */
export interface StatusDeps {
  readonly source: Pick<AdminSource, "facts" | "identities">;
  readonly clock: Clock;
  /** Holdfast's own. */
  readonly version: string;
}

/** `GetStatus`. The time since this call is the uptime. */
export function statusMethods<P>(deps: StatusDeps, options: TypedOptions): [path: string, method: Method<P>][] {
  const { clock, source, version } = deps;
  const startedAt = clock.monotonic();
  const getStatus = unary<P, GetStatusRequest, GetStatusResponse>(
    { request: GetStatusRequest, response: GetStatusResponse },
    async ({ maxIdentities }) => {
      const identities = [...source.identities()].sort(mostUrgentFirst);
      return {
        version,
        uptime: seconds(clock.monotonic() - startedAt),
        ...factsMessage(source.facts()),
        identities: identities.slice(0, limitOf(maxIdentities)).map(identityMessage),
        identitiesCount: BigInt(identities.length),
      };
    },
    options,
  );
  return [[`/${STATUS_SERVICE}/GetStatus`, getStatus]];
}

function limitOf(asked: number): number {
  return asked <= 0 ? DEFAULT_IDENTITIES : Math.min(asked, MOST_IDENTITIES);
}

/** Equal ones by entry ID, so that two answers can be compared. */
function mostUrgentFirst(a: IdentityFacts, b: IdentityFacts): number {
  return (a.expiresAt ?? 0) - (b.expiresAt ?? 0) || (a.entryId < b.entryId ? -1 : 1);
}

function factsMessage(
  facts: AgentFacts,
): Omit<GetStatusResponse, "version" | "uptime" | "identities" | "identitiesCount"> {
  const { svid, problems } = facts;
  return {
    trustDomain: facts.trustDomain,
    agentSvid: svid && {
      id: idMessage(svid.spiffeId),
      expiresAt: seconds(svid.notAfter),
      issuedAt: seconds(svid.notBefore),
    },
    serving: facts.serving,
    serverLink: linkOf(facts),
    lastSyncAt: seconds(facts.lastSyncAt ?? 0),
    problems: [...problems].map(([topic, text]) => ({ topic, text })).sort((a, b) => (a.topic < b.topic ? -1 : 1)),
    x509SvidsCount: BigInt(facts.x509Svids),
    jwtSvidsCount: BigInt(facts.jwtSvids),
    outageBudget: seconds(facts.outageBudgetMs),
    storage: facts.storage,
  };
}

function linkOf({ connected, watching }: AgentFacts): GetStatusResponse_ServerLink {
  const { SERVER_LINK_DOWN, SERVER_LINK_POLLING, SERVER_LINK_PUSHED } = GetStatusResponse_ServerLink;
  if (!connected) return SERVER_LINK_DOWN;
  return watching ? SERVER_LINK_PUSHED : SERVER_LINK_POLLING;
}

function identityMessage({
  entryId,
  spiffeId,
  issuedAt,
  expiresAt,
  renewsAt,
  failed,
}: IdentityFacts): GetStatusResponse_Identity {
  return {
    entryId,
    id: idMessage(spiffeId),
    expiresAt: seconds(expiresAt ?? 0),
    renewsAt: seconds(renewsAt ?? 0),
    failed,
    issuedAt: seconds(issuedAt ?? 0),
  };
}
