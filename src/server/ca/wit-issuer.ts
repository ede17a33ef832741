/** Signs WIT-SVIDs with the active WIT authority (WIT-SVID 2 and 3): each names the key that its holder must prove. */
import type { Clock } from "../../lib/clock.ts";
import { publicError } from "../../lib/errors.ts";
import { type Counter, type Metrics, noMetrics } from "../../lib/metrics.ts";
import type { Watchable } from "../../lib/watchable.ts";
import { jwkFromSpki } from "../../pki/jwk.ts";
import { signCompact } from "../../pki/jws.ts";
import type { TrustDomain } from "../../spiffe/id.ts";
import type { IssuedToken, WitIssuer } from "../ports.ts";
import type { SigningKey } from "./signing-key.ts";
import { requireWorkload, tokenLife } from "./token-life.ts";

/** What the issuer needs. */
export interface WitSvidIssuerDeps {
  readonly active: Watchable<SigningKey | undefined>;
  readonly clock: Clock;
  readonly trustDomain: TrustDomain;
  /** Milliseconds, for workloads without a TTL of their own. */
  readonly witSvidTtlMs: number;
  /** The `iss` claim; absent: none. */
  readonly issuer?: string;
  /** Nothing is counted without. */
  readonly metrics?: Metrics;
}

/** No token outlives its authority. */
export class WitSvidIssuer implements WitIssuer {
  readonly #deps: WitSvidIssuerDeps;
  readonly #signed: Counter;

  constructor(deps: WitSvidIssuerDeps) {
    this.#deps = deps;
    this.#signed = (deps.metrics ?? noMetrics).counter("server_ca_sign_wit_svid", { help: "WIT-SVIDs signed." });
  }

  /** Throws `UNAVAILABLE` without a key, `INVALID_ARGUMENT` for an ID that is no workload's. */
  async issueWitSvid(request: Parameters<WitIssuer["issueWitSvid"]>[0]): Promise<IssuedToken> {
    const { active, clock, trustDomain, witSvidTtlMs, issuer } = this.#deps;
    const { spiffeId, publicKey, algorithm, ttl } = request;
    requireWorkload(spiffeId, trustDomain);
    const key = active.value;
    const life = tokenLife(clock.now(), ttl > 0 ? ttl * 1000 : witSvidTtlMs, key);
    if (key === undefined || life === undefined) {
      throw publicError("UNAVAILABLE", "WIT key is not available for signing");
    }
    const claims = {
      cnf: { jwk: { ...jwkFromSpki(publicKey), alg: algorithm } },
      exp: life.expiresAt,
      iat: life.issuedAt,
      ...(issuer !== undefined && { iss: issuer }),
      sub: spiffeId,
    };
    const header = { alg: key.signer.algorithm, kid: key.authorityId, typ: "wit+jwt" };
    const token = await signCompact(header, claims, key.signer);
    this.#signed.add();
    return { token, ...life };
  }
}
