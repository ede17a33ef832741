/**
 * ROCA (CVE-2017-15361): RSA keys of certain Infineon TPMs are built from powers of 65537 and can be factored from the
 * public key alone. Nemec et al., "The Return of Coppersmith's Attack", section 3: such a modulus is a power of 65537
 * modulo each small prime, which a sound one is for all of them with a chance of one in 2^27 or less.
 */

/** The primes whose product is the smallest M that those TPMs use. */
const PRIMES = [
  3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113,
  127, 131, 137, 139, 149, 151, 157, 163, 167,
] as const;
const GENERATOR = 65_537;

const POWERS: readonly { readonly prime: number; readonly powers: ReadonlySet<number> }[] = PRIMES.map((prime) => {
  const powers = new Set<number>();
  for (let power = 1; !powers.has(power); power = (power * GENERATOR) % prime) powers.add(power);
  return { prime, powers };
});

/** Whether a modulus (big-endian) has the structure. */
export function isRoca(modulus: Uint8Array): boolean {
  return POWERS.every(({ prime, powers }) => powers.has(remainder(modulus, prime)));
}

function remainder(bytes: Uint8Array, prime: number): number {
  return bytes.reduce((rest, byte) => (rest * 256 + byte) % prime, 0);
}
