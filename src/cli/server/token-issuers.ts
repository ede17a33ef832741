/** What signs tokens, as the configuration wants it. */
import type { ServerConfig } from "../../config/server-config.ts";
import { JwtSvidIssuer, type JwtSvidIssuerDeps } from "../../server/ca/jwt-issuer.ts";
import type { CaManager } from "../../server/ca/manager.ts";
import { WitSvidIssuer } from "../../server/ca/wit-issuer.ts";
import type { ServerDeps } from "../../server/server.ts";

/** The issuers of the kinds that are enabled. */
export function makeTokenIssuers(
  config: ServerConfig,
  { jwt, wit }: Pick<CaManager, "jwt" | "wit">,
  parts: Pick<JwtSvidIssuerDeps, "clock" | "random" | "metrics">,
): Pick<ServerDeps, "jwtIssuer" | "witIssuer"> {
  const { trustDomain, defaultJwtSvidTtlMs: jwtSvidTtlMs, defaultX509SvidTtlMs: witSvidTtlMs } = config;
  const named = (issuer: string | undefined) => (issuer === undefined ? {} : { issuer });
  const common = { ...parts, trustDomain };
  return {
    ...(jwt && {
      jwtIssuer: new JwtSvidIssuer({ ...common, active: jwt.active, jwtSvidTtlMs, ...named(config.jwtIssuer) }),
    }),
    ...(wit && {
      witIssuer: new WitSvidIssuer({
        ...common,
        active: wit.active,
        witSvidTtlMs,
        ...named(config.experimental.witIssuer),
      }),
    }),
  };
}
