/** Signs JWT-SVIDs with the active JWT authority (JWT-SVID 2 and 3). */
import type { Clock } from "../../lib/clock.ts";
import { publicError } from "../../lib/errors.ts";
import { type Counter, type Metrics, noMetrics } from "../../lib/metrics.ts";
import type { Random } from "../../lib/random.ts";
import type { Watchable } from "../../lib/watchable.ts";
import { signCompact } from "../../pki/jws.ts";
import type { TrustDomain } from "../../spiffe/id.ts";
import type { IssuedToken, JwtIssuer } from "../ports.ts";
import type { SigningKey } from "./signing-key.ts";
import { requireWorkload, tokenLife } from "./token-life.ts";

/** What the issuer needs. */
export interface JwtSvidIssuerDeps {
  readonly active: Watchable<SigningKey | undefined>;
  readonly clock: Clock;
  readonly random: Random;
  readonly trustDomain: TrustDomain;
  /** Milliseconds, for workloads without a TTL of their own. */
  readonly jwtSvidTtlMs: number;
  /** The `iss` claim; absent: none. */
  readonly issuer?: string;
  /** Nothing is counted without. */
  readonly metrics?: Metrics;
}

const JTI_BYTES = 16;

/** No token outlives its authority. */
export class JwtSvidIssuer implements JwtIssuer {
  readonly #deps: JwtSvidIssuerDeps;
  readonly #signed: Counter;

  constructor(deps: JwtSvidIssuerDeps) {
    this.#deps = deps;
    this.#signed = (deps.metrics ?? noMetrics).counter("server_ca_sign_jwt_svid", { help: "JWT-SVIDs signed." });
  }

  /** Throws `UNAVAILABLE` without a key, `INVALID_ARGUMENT` for an ID that is no workload's and for no audience. */
  async issueJwtSvid(request: Parameters<JwtIssuer["issueJwtSvid"]>[0]): Promise<IssuedToken> {
    const { active, clock, random, trustDomain, jwtSvidTtlMs, issuer } = this.#deps;
    const { spiffeId, audience, ttl, includeJti } = request;
    requireWorkload(spiffeId, trustDomain);
    if (audience.length === 0) {
      throw publicError("INVALID_ARGUMENT", "invalid JWT-SVID audience: cannot be empty");
    }
    const key = active.value;
    const life = tokenLife(clock.now(), ttl > 0 ? ttl * 1000 : jwtSvidTtlMs, key);
    if (key === undefined || life === undefined) {
      throw publicError("UNAVAILABLE", "JWT key is not available for signing");
    }
    const claims = {
      aud: audience,
      exp: life.expiresAt,
      iat: life.issuedAt,
      ...(issuer !== undefined && { iss: issuer }),
      ...(includeJti && { jti: Buffer.from(random.bytes(JTI_BYTES)).toString("base64url") }),
      sub: spiffeId,
    };
    const header = { alg: key.signer.algorithm, kid: key.authorityId, typ: "JWT" };
    const token = await signCompact(header, claims, key.signer);
    this.#signed.add();
    return { token, ...life };
  }
}
