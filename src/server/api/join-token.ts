/** `CreateJoinToken`: one-time tokens by which nodes without any other proof may attest. */

import { joinTokenAgentId } from "../../attestors/join-token/server.ts";
import { MAX_JOIN_TOKEN_BYTES } from "../../attestors/join-token/wire.ts";
import { AgentService, type CreateJoinTokenRequest } from "../../gen/spire/api/server/agent/v1/agent.ts";
import type { JoinToken } from "../../gen/spire/api/types/jointoken.ts";
import type { Clock } from "../../lib/clock.ts";
import { publicError } from "../../lib/errors.ts";
import type { Random } from "../../lib/random.ts";
import type { RegistrationEntry } from "../../spiffe/entry.ts";
import type { SpiffeId, TrustDomain } from "../../spiffe/id.ts";
import type { DataStore } from "../datastore/datastore.ts";
import type { RpcContext } from "../rpc-context.ts";
import { uuid } from "../uuid.ts";
import { attempt, parseInput } from "./failure.ts";
import { type NamedMethod, unaryMethod } from "./method.ts";
import { workloadIdFromMessage } from "./wire.ts";

/** What the method needs. */
export interface JoinTokenDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly trustDomain: TrustDomain;
  readonly datastore: Pick<DataStore, "transaction">;
}

/** The method. */
export function joinTokenMethods(deps: JoinTokenDeps): readonly NamedMethod[] {
  return [unaryMethod(AgentService.createJoinToken, (request, context) => createJoinToken(deps, request, context))];
}

async function createJoinToken(
  deps: JoinTokenDeps,
  request: CreateJoinTokenRequest,
  context: RpcContext,
): Promise<JoinToken> {
  if (request.ttl < 1) throw publicError("INVALID_ARGUMENT", "ttl is required, you must provide one");
  context.audit({ ttl: request.ttl });
  const alias =
    request.agentId === undefined
      ? undefined
      : parseInput("invalid agent ID", () => workloadIdFromMessage(deps.trustDomain, request.agentId));
  if (alias !== undefined) context.audit({ spiffe_id: alias });
  const token = request.token === "" ? uuid(deps.random) : request.token;
  const agentId = agentOf(deps.trustDomain, token);
  const now = Math.floor(deps.clock.now() / 1000);
  const expiresAt = now + request.ttl;
  await attempt("failed to create token", () =>
    deps.datastore.transaction(async (tx) => {
      await tx.joinTokens.create(token, expiresAt);
      if (alias !== undefined) await tx.entries.create(aliasEntry(uuid(deps.random), agentId, alias, now));
    }),
  );
  return { value: token, expiresAt: BigInt(expiresAt) };
}

/** The ID of the agent that will spend the token; a token that cannot be part of an ID could never be spent. */
function agentOf(trustDomain: TrustDomain, token: string): SpiffeId {
  const agentId = Buffer.byteLength(token) > MAX_JOIN_TOKEN_BYTES ? undefined : joinTokenAgentId(trustDomain, token);
  if (agentId !== undefined) return agentId;
  throw publicError(
    "INVALID_ARGUMENT",
    `invalid token: want at most ${MAX_JOIN_TOKEN_BYTES} letters, numbers, dots, dashes, and underscores`,
  );
}

/** Gives the agent a second ID that its operator chose, in the shape by which eviction finds it again. */
function aliasEntry(entryId: string, agentId: SpiffeId, alias: SpiffeId, createdAt: number): RegistrationEntry {
  return {
    entryId,
    spiffeId: alias,
    parentId: agentId,
    selectors: [{ type: "spiffe_id", value: agentId }],
    federatesWith: [],
    x509SvidTtl: 0,
    jwtSvidTtl: 0,
    dnsNames: [],
    admin: false,
    downstream: false,
    storeSvid: false,
    hint: "",
    expiresAt: 0,
    createdAt,
    revision: 0n,
    disableX509SvidPrefetch: false,
    jwtSvidIncludeJti: false,
  };
}
