/** The code under test of `targets.ts`. */

/** Believes a length. */
export function readsTooFar(input: Uint8Array): number {
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  return input.length < 2 ? 0 : view.getUint8(1 + view.getUint8(1));
}

/** Fails behind four comparisons in a row: by chance alone, an input in four billion gets there. */
export function behindFourDoors(input: Uint8Array): void {
  if (input[0] !== 0x54) return;
  if (input[1] !== 0xc3) return;
  if (input[2] !== 0x9a) return;
  if (input[3] !== 0x71) return;
  throw new TypeError("nobody comes here");
}

/** Does not look for what follows. */
export function ignoresTheEnd(input: Uint8Array): Uint8Array {
  const length = ((input[0] ?? 0) << 8) | (input[1] ?? 0);
  return length > input.length - 2 ? input.subarray(2) : input.subarray(2, 2 + length);
}

/** Lets the input name a member of every object. */
export function pollutes(input: Uint8Array): void {
  if (input[0] === 0xff) Object.assign(Object.prototype, { polluted: "yes" });
}

/** Takes longer than it may. */
export function slow(input: Uint8Array): void {
  const end = performance.now() + 110;
  while (input[0] === 0xff && performance.now() < end);
}

/** Never returns. */
export function hangs(input: Uint8Array): void {
  while (input[0] === 0xff);
}

/** Has no limit. */
export function greedy(input: Uint8Array): void {
  const all: unknown[] = [];
  while (input[0] === 0xff) all.push(Array.from({ length: 100_000 }, () => all.length));
}
