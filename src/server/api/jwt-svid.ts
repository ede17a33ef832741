/** `svid.v1.SVID` for JWT-SVIDs: for agents by entry, for administrators by request. */
import { SVIDService } from "../../gen/spire/api/server/svid/v1/svid.ts";
import type { JWTSVID } from "../../gen/spire/api/types/jwtsvid.ts";
import { publicError } from "../../lib/errors.ts";
import type { RegistrationEntry } from "../../spiffe/entry.ts";
import type { SpiffeId, TrustDomain } from "../../spiffe/id.ts";
import type { AuthorizedEntries, JwtIssuer } from "../ports.ts";
import { callingAgent, type RpcContext } from "../rpc-context.ts";
import { readAudience } from "./audience.ts";
import { attempt, parseInput } from "./failure.ts";
import { type NamedMethod, unaryMethod } from "./method.ts";
import { checkWorkloadId, idToMessage, workloadIdFromMessage } from "./wire.ts";

/** What the methods need. */
export interface JwtSvidServiceDeps {
  readonly trustDomain: TrustDomain;
  readonly entries: AuthorizedEntries;
  /** Absent where JWT-SVIDs are disabled. */
  readonly jwtIssuer?: JwtIssuer;
}

/** The methods. */
export function jwtSvidMethods(deps: JwtSvidServiceDeps): readonly NamedMethod[] {
  return [
    unaryMethod(SVIDService.newJwtsvid, async ({ entryId, audience }, context, signal) => {
      context.audit({ entry_id: entryId });
      await context.rateLimit(1, signal);
      const issuer = enabledJwtIssuer(deps);
      const { entry, spiffeId } = await authorizedJwtEntry(deps, context, entryId);
      const { jwtSvidTtl: ttl, jwtSvidIncludeJti: includeJti } = entry;
      return { svid: await signJwtSvid(issuer, context, { spiffeId, audience, ttl, includeJti }) };
    }),

    unaryMethod(SVIDService.mintJwtsvid, async ({ id, audience, ttl }, context) => {
      const issuer = enabledJwtIssuer(deps);
      const spiffeId = parseInput("invalid SPIFFE ID", () => workloadIdFromMessage(deps.trustDomain, id));
      if (ttl < 0) throw publicError("INVALID_ARGUMENT", "ttl cannot be negative");
      return { svid: await signJwtSvid(issuer, context, { spiffeId, audience, ttl, includeJti: false }) };
    }),
  ];
}

/** The entry, if the calling agent may have it, and its ID. Throws `NOT_FOUND`. */
export async function authorizedJwtEntry(
  deps: JwtSvidServiceDeps,
  context: RpcContext,
  entryId: string,
): Promise<{ readonly entry: RegistrationEntry; readonly spiffeId: SpiffeId }> {
  const entries = await attempt("failed to fetch registration entries", () =>
    deps.entries.lookup(callingAgent(context).agentId, new Set([entryId])),
  );
  const entry = entries.get(entryId);
  if (entry === undefined) throw publicError("NOT_FOUND", "entry not found or not authorized");
  return { entry, spiffeId: parseInput("invalid SPIFFE ID", () => checkWorkloadId(deps.trustDomain, entry.spiffeId)) };
}

/** Signs a token, within the bounds of audiences, and leaves what it is in the audit log. */
export async function signJwtSvid(
  issuer: JwtIssuer,
  context: RpcContext,
  request: {
    readonly spiffeId: SpiffeId;
    readonly audience: readonly string[];
    readonly ttl: number;
    readonly includeJti: boolean;
  },
): Promise<JWTSVID> {
  const { spiffeId, ttl } = request;
  context.audit({ spiffe_id: spiffeId, ttl });
  const audience = readAudience(request.audience);
  context.audit({ audience: audience.join(",") });
  const { token, issuedAt, expiresAt } = await attempt("failed to sign JWT-SVID", () =>
    issuer.issueJwtSvid({ ...request, audience }),
  );
  return {
    token,
    id: idToMessage(spiffeId),
    expiresAt: BigInt(expiresAt),
    issuedAt: BigInt(issuedAt),
    hint: "",
  };
}

/** Throws `UNIMPLEMENTED` where JWT-SVIDs are disabled. */
export function enabledJwtIssuer(deps: JwtSvidServiceDeps): JwtIssuer {
  if (deps.jwtIssuer === undefined) throw publicError("UNIMPLEMENTED", "JWT functionality is disabled");
  return deps.jwtIssuer;
}
