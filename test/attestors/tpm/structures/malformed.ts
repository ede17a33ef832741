/** What every reader of TPM structures must do with bytes that end too soon or too late. */
import { expect } from "vitest";
import { AgentError } from "../../../../src/lib/errors.ts";

/** Expects `MALFORMED`, in the name of the structure. */
export function expectMalformed(read: () => unknown, what: string, detail?: string | RegExp): void {
  let error: unknown;
  try {
    read();
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(AgentError);
  expect((error as AgentError).code).toBe("MALFORMED");
  expect((error as AgentError).message).toMatch(new RegExp(`^${what}: `));
  if (detail !== undefined) expect((error as AgentError).message).toMatch(detail);
}

/** Expects `MALFORMED` of every beginning of `bytes`, and of `bytes` with one more. */
export function expectExact(read: (bytes: Uint8Array) => unknown, bytes: Uint8Array, what: string): void {
  for (let length = 0; length < bytes.length; length++) expectMalformed(() => read(bytes.subarray(0, length)), what);
  expectMalformed(() => read(Buffer.concat([bytes, Buffer.of(0)])), what, "1 trailing bytes");
  expectMalformed(() => read(Buffer.alloc(4097)), what, "longer than 4096 bytes");
}
