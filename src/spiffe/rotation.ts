/** When an SVID must be renewed: arithmetic only. */

/** The lifetime of a document, milliseconds since the Unix epoch. */
export interface Lifetime {
  readonly notBefore: number;
  readonly notAfter: number;
}

/** Half-width of the jitter around the half life: renewal falls when 45 to 55 % of the lifetime is left. */
const JITTER = 0.05;
/** So much of a lifetime is left at the latest renewal. */
export const LEAST_SHARE_LEFT = 0.5 - JITTER;

/** The moment (ms since the epoch) at which to renew: the half life, spread by jitter. `random` returns a number in [0, 1). */
export function rotateAt(life: Lifetime, random: () => number): number {
  const span = life.notAfter - life.notBefore;
  const share = LEAST_SHARE_LEFT + 2 * JITTER * random();
  return life.notAfter - span * share;
}

/** Whether the document is past its end. */
export function isExpired(life: Lifetime, now: number): boolean {
  return now >= life.notAfter;
}
