/** What a failing vector is: a proof that is true but for one thing, and the check that must say so. */
import { expect } from "vitest";
import type { TpmCheck } from "../../../src/attestors/tpm/verify/checks.ts";
import { AgentError } from "../../../src/lib/errors.ts";
import type { Spoil } from "../../fakes/soft-tpm/agent.ts";
import type { ServerSetting, SoftServer } from "./server-harness.ts";

export type Vector = readonly [check: TpmCheck, spoil: Spoil, setting?: ServerSetting];

/** By name; made when it is run, for keys take time. */
export type Vectors = Readonly<Record<string, (server: SoftServer) => Vector>>;

/** The one place that says what every refusal looks like. */
export async function expectRefusal(result: Promise<unknown>, check: TpmCheck): Promise<AgentError> {
  const error: unknown = await result.then(
    () => new Error("was accepted"),
    (reason: unknown) => reason,
  );
  if (!(error instanceof AgentError)) throw error;
  expect(error.message.split(":").slice(0, 2).join(":")).toBe(`tpm: ${check}`);
  expect(error.code).toBe("PERMISSION_DENIED");
  expect(error.publicMessage).toBe("attestation failed");
  return error;
}

/** Another bit in the byte at `at`; from the end where it is negative. */
export function flipped(bytes: Uint8Array, at = -1): Uint8Array {
  const copy = Buffer.from(bytes);
  const index = at < 0 ? copy.length + at : at;
  copy.writeUInt8(copy.readUInt8(index) ^ 1, index);
  return copy;
}

/** One byte too many. */
export function longer(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([bytes, Buffer.of(0)]);
}
