/** Which methods are limited, and which share a budget: SPIRE's table, and ours. */
import type { Clock } from "../lib/clock.ts";
import { RateLimiter } from "./rate-limit.ts";

/** The limits that can be switched off. */
export interface RateLimitSwitches {
  /** One attestation per second and address. */
  readonly attestation: boolean;
  /** 500 signatures per second and address, of each kind. */
  readonly signing: boolean;
}

const ATTESTATIONS = 1;
const SIGNATURES = 500;
const PUBLISHED_KEYS = 500;
const STATUS_POSTS = 10;

/** Limiters by full method name; methods that are not in it are unlimited. */
export function methodLimits(clock: Clock, switches: RateLimitSwitches): ReadonlyMap<string, RateLimiter> {
  const limits = new Map<string, RateLimiter>();
  const limitPaths = (perSecond: number, ...paths: string[]): void => {
    const limiter = new RateLimiter(clock, { perSecond });
    for (const path of paths) limits.set(path, limiter);
  };
  const limit = (perSecond: number, ...methods: string[]): void =>
    limitPaths(perSecond, ...methods.map((method) => `/spire.api.server.${method}`));
  if (switches.attestation) limit(ATTESTATIONS, "agent.v1.Agent/AttestAgent");
  if (switches.signing) {
    limit(SIGNATURES, "svid.v1.SVID/BatchNewX509SVID", "svid.v1.SVID/NewDownstreamX509CA", "agent.v1.Agent/RenewAgent");
    limit(SIGNATURES, "svid.v1.SVID/NewJWTSVID");
    limit(SIGNATURES, "svid.v1.SVID/BatchNewWITSVID");
    limitPaths(SIGNATURES, "/holdfast.server.v1.Reserve/NewJWTSVIDReserve");
  }
  limit(PUBLISHED_KEYS, "bundle.v1.Bundle/PublishJWTAuthority", "bundle.v1.Bundle/PublishWITAuthority");
  limit(STATUS_POSTS, "agent.v1.Agent/PostStatus");
  return limits;
}
