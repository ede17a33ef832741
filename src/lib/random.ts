/** Randomness as a port, so that tests can repeat a run. */
import { randomBytes, randomInt } from "node:crypto";

/** Cryptographic bytes and uniform numbers. */
export interface Random {
  /** `size` unpredictable bytes. */
  bytes(size: number): Uint8Array;
  /** Uniform in [0, 1); for jitter only. */
  unit(): number;
}

const UNIT_STEPS = 2 ** 47;

/** The operating system's randomness. */
export const systemRandom: Random = {
  bytes: (size) => new Uint8Array(randomBytes(size)),
  unit: () => randomInt(UNIT_STEPS) / UNIT_STEPS,
};
