/** Remembers which endorsement key the agent is known by, so that a certificate that appears later changes nothing. */
import { z } from "zod";
import { AgentError } from "../../../lib/errors.ts";
import { EK_KINDS, type EkKind } from "../config.ts";

/** What is remembered. */
export interface EkChoice {
  readonly kind: EkKind;
  /** Hash of the key, the last part of the agent's ID. */
  readonly hash: string;
}

/** Where it is remembered. */
export interface EkChoiceStore {
  /** `undefined` when nothing is remembered, or nothing that can be read. */
  load(): Promise<EkChoice | undefined>;
  save(choice: EkChoice): Promise<void>;
}

const schema = z.strictObject({ ek: z.enum(EK_KINDS), hash: z.string().regex(/^[0-9a-f]{64}$/) });

/** The file's content. */
export function encodeEkChoice({ kind, hash }: EkChoice): string {
  return `${JSON.stringify({ ek: kind, hash })}\n`;
}

/** Throws `DATA_LOSS` for what is no such file. */
export function decodeEkChoice(text: string): EkChoice {
  try {
    const { ek, hash } = schema.parse(JSON.parse(text));
    return { kind: ek, hash };
  } catch (error) {
    throw new AgentError("DATA_LOSS", "it does not hold the choice of an endorsement key", { cause: error });
  }
}
