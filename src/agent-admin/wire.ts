/** The few messages that the administration services share. */
import type { SPIFFEID } from "../gen/spire/api/types/spiffeid.ts";
import { pathOf, type SpiffeId, trustDomainOf } from "../spiffe/id.ts";

/** An ID in its two parts. */
export function idMessage(id: SpiffeId): SPIFFEID {
  return { trustDomain: trustDomainOf(id), path: pathOf(id) };
}

/** Whole Unix seconds of milliseconds. */
export function seconds(ms: number): bigint {
  return BigInt(Math.floor(ms / 1_000));
}
