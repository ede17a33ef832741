/** RSA keys that can be factored from their public half: those that are made so are seen, and no others. */
import { describe, expect, test } from "vitest";
import { isRoca } from "../../../../src/attestors/tpm/verify/roca.ts";
import { rocaModulus, rsaFromPool } from "../../../fakes/soft-tpm/tpm.ts";

describe("a modulus", () => {
  test.each([0, 1, 2, 1_000, 65_537])("that is 65537 to the power of %i, and a multiple, is seen", (power) => {
    const modulus = rocaModulus(power);
    expect(modulus).toHaveLength(256);
    expect(isRoca(modulus)).toBe(true);
    expect(isRoca(Buffer.concat([Buffer.alloc(1), modulus]))).toBe(true);
  });

  test("beside it is not", () => {
    const modulus = BigInt(`0x${rocaModulus().toString("hex")}`);
    for (const step of [-4n, -2n, 2n, 4n, 65_536n]) {
      expect(isRoca(Buffer.from((modulus + step).toString(16), "hex"))).toBe(false);
    }
  });

  test("of OpenSSL's keys is not", () => {
    for (const [name, bits] of [
      ["ek", 2048],
      ["roca", 2048],
      ["weak", 1024],
    ] as const) {
      const { n } = rsaFromPool(name, bits).privateKey.export({ format: "jwk" });
      expect(isRoca(Buffer.from(n ?? "", "base64url"))).toBe(false);
    }
  });
});
