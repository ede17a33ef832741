/** What all tokens share: whose they may be, and how long they live. Pure. */
import { publicError } from "../../lib/errors.ts";
import { isReserved, pathOf, type SpiffeId, type TrustDomain, trustDomainOf } from "../../spiffe/id.ts";
import type { IssuedToken } from "../ports.ts";

/** The life of a token that is signed at `now`, all in milliseconds; `undefined` when the key's end leaves it none. */
export function tokenLife(
  now: number,
  ttlMs: number,
  key: { readonly notAfter: number } | undefined,
): Omit<IssuedToken, "token"> | undefined {
  if (key === undefined) return undefined;
  const issuedAt = Math.floor(now / 1000);
  const expiresAt = Math.floor(Math.min(now + ttlMs, key.notAfter) / 1000);
  return expiresAt > issuedAt ? { issuedAt, expiresAt } : undefined;
}

/** Throws `INVALID_ARGUMENT` unless it is the ID of a workload of the trust domain. */
export function requireWorkload(id: SpiffeId, trustDomain: TrustDomain): void {
  if (trustDomainOf(id) === trustDomain && pathOf(id) !== "" && !isReserved(id)) return;
  throw publicError("INVALID_ARGUMENT", `${id} is not the ID of a workload in trust domain "${trustDomain}"`);
}
