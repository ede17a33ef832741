/**
 * `holdfast.server.v1.Reserve`: JWT-SVIDs that agents keep for the time without a server. They live hours instead of
 * minutes, so nobody gets one unless the operator wants it, and for no entry that says something of its own tokens.
 */
import { ReserveService } from "../../gen/holdfast/server/v1/reserve.ts";
import type { Clock } from "../../lib/clock.ts";
import { publicError } from "../../lib/errors.ts";
import type { RegistrationEntry } from "../../spiffe/entry.ts";
import type { RpcContext } from "../rpc-context.ts";
import { readAudience } from "./audience.ts";
import { authorizedJwtEntry, enabledJwtIssuer, type JwtSvidServiceDeps, signJwtSvid } from "./jwt-svid.ts";
import { type NamedMethod, unaryMethod } from "./method.ts";

/** What the operator allows. */
export interface JwtReserveOptions {
  /** Per agent and identity, those of all reserve tokens together. */
  readonly maxAudiences: number;
  /** Of a token; milliseconds. */
  readonly lifeMs: number;
}

/** What the method needs. */
export interface JwtReserveServiceDeps extends JwtSvidServiceDeps {
  readonly clock: Clock;
  /** Absent: there are none. */
  readonly jwtReserve?: JwtReserveOptions;
}

/** The service's methods. */
export function jwtReserveMethods(deps: JwtReserveServiceDeps): readonly NamedMethod[] {
  return [
    unaryMethod(ReserveService.newJwtsvidReserve, async ({ entryId, audience: asked }, context: RpcContext, signal) => {
      context.audit({ entry_id: entryId });
      await context.rateLimit(1, signal);
      const { jwtReserve: options, clock } = deps;
      const issuer = enabledJwtIssuer(deps);
      if (options === undefined) throw publicError("UNIMPLEMENTED", "jwt_reserve is not enabled");
      const { entry, spiffeId } = await authorizedJwtEntry(deps, context, entryId);
      if (entry.jwtSvidTtl > 0) throw publicError("FAILED_PRECONDITION", "entry has a JWT-SVID TTL of its own");
      if (entry.jwtSvidIncludeJti) throw publicError("FAILED_PRECONDITION", "entry's JWT-SVIDs have IDs of their own");
      const { maxAudiences, lifeMs } = options;
      const audience = readAudience(asked);
      if (audience.length > maxAudiences) {
        throw publicError("INVALID_ARGUMENT", `too many audiences: ${maxAudiences} at most`);
      }
      const ttl = reserveTtl(entry, lifeMs, clock.now());
      const svid = await signJwtSvid(issuer, context, { spiffeId, audience, ttl, includeJti: false });
      return { svid, maxAudiences };
    }),
  ];
}

/** Whole seconds, at least one: not beyond the end of the entry, of which an agent without a server cannot hear. */
export function reserveTtl({ expiresAt }: Pick<RegistrationEntry, "expiresAt">, lifeMs: number, now: number): number {
  const end = expiresAt > 0 ? Math.min(now + lifeMs, expiresAt * 1000) : now + lifeMs;
  return Math.max(1, Math.floor((end - now) / 1000));
}
