/** The latest moment of which we may be sure, by which a host judges its SVID when it wakes up in the past. */
import type { Lifetime } from "../spiffe/rotation.ts";

/**
 * The later one of `before` and `now`, as far as the SVID vouches for them: what lies outside of its lifetime is the
 * word of our clock alone, and a clock that was ahead for a moment must not make an SVID look expired ever after. The
 * server vouches for the SVID's beginning. Milliseconds since the Unix epoch.
 */
export function goodTime(svid: Lifetime, now: number, before: number): number {
  const vouchedFor = [before, now].filter((time) => time >= svid.notBefore && time < svid.notAfter);
  return Math.max(0, svid.notBefore, ...vouchedFor);
}
